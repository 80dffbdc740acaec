"""Overfitting test of the networks: one take, learned by heart.

Two numbers: the mean joint error of the take after quantisation (relative to the pelvis, so that a
drift of the root does not dominate), and the correlation of wrist speeds when its speech is
rendered from four true frames in windows of 64.
"""

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench.metrics.strokes import wrist_speed
from engine.bundle.io import Bundle, load_bundle
from engine.generate.sampling import SamplingConfig
from engine.generate.schedule import FileRules, Overlap, Schedule, Tail
from engine.kernels.from_bundle import pose_decoder
from engine.motion.pose import Motion, PoseChunk, concatenate
from engine.stream.stream import GestureStream
from training.data.takes import TakeFile, read_take
from training.data.vectors import motion_vector
from training.vq.evaluate import encode
from training.vq.stage import load_parts

SEEDS = 4


@dataclass(frozen=True)
class OverfitReport:
    """Reconstruction and generation of one take.

    Attributes:
        frames: frames compared.
        reconstruction_cm: mean error over joints and frames.
        wrist_speed_r: correlation of the faster wrist's speed with the truth.
        wrist_speed_true: mean of that speed in the take, m/s.
        wrist_speed_made: mean of that speed in the generated motion, m/s.

    """

    frames: int
    reconstruction_cm: float
    wrist_speed_r: float
    wrist_speed_true: float
    wrist_speed_made: float


def reconstruction_cm(bundle: Bundle, vq: Path, motion: Motion) -> float:
    """Mean joint error of a motion after encoding and decoding by the parts in `vq`."""
    parts = load_parts(vq)
    codes = encode(parts, motion)
    made = pose_decoder(replace(bundle, parts=parts)).decode(codes, codes.shape[-1])
    apart = _difference_at_origin(made.rotations[0].numpy(), motion)
    return float(np.linalg.norm(apart, axis=-1).mean() * 100)


def _difference_at_origin(rotations: np.ndarray, motion: Motion) -> np.ndarray:
    """Difference `[T, J, 3]` of joint positions, both figures at the origin."""
    still = np.zeros_like(motion.poses.translation)
    poses = replace(motion.poses, translation=still)
    true = Motion(motion.format, poses)
    made = Motion(motion.format, replace(poses, rotations=rotations))
    return made.world_positions() - true.world_positions()


def rendered(bundle: Bundle, take: TakeFile) -> PoseChunk:
    """The take's speech in windows of 64 frames, of which the first gets four true ones."""
    rules = FileRules(Overlap.EARLIER, Tail.PARTIAL, truncated=False)
    config = replace(bundle.config, sampling=SamplingConfig(0.0))
    stream = GestureStream(
        replace(bundle, config=config),
        schedule=Schedule(64, SEEDS, 64 - SEEDS, files=rules),
        start=motion_vector(take.motion)[:SEEDS],
    )
    stream.feed_audio(take.sound)
    stream.feed_words(take.words)
    return concatenate(stream.flush())


def overfit_report(bundle: Bundle, vq: Path, take: TakeFile) -> OverfitReport:
    """Evaluate a bundle whose modules were trained on `take` only."""
    fps = take.clock.frame_rate
    made = Motion(take.motion.format, rendered(bundle, take))
    frames = min(len(made), len(take.motion))
    speeds = [wrist_speed(m.world_positions()[:frames], fps) for m in (take.motion, made)]
    return OverfitReport(
        frames=frames,
        reconstruction_cm=round(reconstruction_cm(bundle, vq, take.motion), 3),
        wrist_speed_r=round(float(np.corrcoef(speeds[0], speeds[1])[0, 1]), 4),
        wrist_speed_true=round(float(speeds[0].mean()), 3),
        wrist_speed_made=round(float(speeds[1].mean()), 3),
    )


def main() -> None:
    """`python -m bench.quality.overfit`: print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--vq", type=Path, required=True, metavar="DIR")
    parser.add_argument("--take", type=Path, required=True, metavar="TAKE.npz")
    options = parser.parse_args()
    torch.set_num_threads(1)
    report = overfit_report(load_bundle(options.model), options.vq, read_take(options.take))
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
