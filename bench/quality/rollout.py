"""Rollout of a trained model on its own output, as live, over many takes at once.

Uses the Runner of the engine, as live streams do. Command:
`python -m bench.quality.rollout --data DIR --vq DIR --gesture DIR --out DIR`.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.metrics.kinematics import WRISTS
from bench.metrics.smoothness import mean_jerk
from bench.metrics.strokes import arm_speed, stroke_times
from bench.plots.figures import wrists_over_stresses
from bench.quality.sync import Utterance, mute_report, stroke_test
from engine.audio.features import FeatureExtractor
from engine.config.features import DEFAULT_FEATURES
from engine.config.model import GestureConfig, RootModelConfig
from engine.generate.decoder import PoseDecoder
from engine.generate.runner import Runner
from engine.generate.sampling import CodeSelection, SamplingConfig
from engine.generate.schedule import Schedule
from engine.generate.step import CodeSampler, StagedStep
from engine.generate.window import WindowSpec, window_slices
from engine.kernels.eager import EagerKernel
from engine.model.builders import build_gesture_model, build_root_model
from engine.model.part_vae import PartVae
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import Motion, PoseFormat, concatenate
from engine.motion.rotation import log
from engine.motion.skeleton import BodyPart
from engine.system.atomic import write_text
from training.data.dataset import CLOCK, TakeData, encode_take, load_takes
from training.gesture.stage import read_vocabulary
from training.module_io import load_config, load_weights
from training.vq.stage import load_parts

FPS = 30.0


@dataclass(frozen=True)
class RolloutSettings:
    """Live settings of one rollout."""

    hop: int = 2
    seed: int = 16
    temperature: float = 0.7
    persistence: float = 0.9
    radius: float = 0.0
    choices: dict[str, str] = field(default_factory=lambda: {"face": "nearest_latent"})

    def label(self) -> str:
        """Short name."""
        latent = "".join(part[0] for part, how in self.choices.items() if how == "nearest_latent")
        draw = f"t{self.temperature} p{self.persistence} r{self.radius}"
        return f"hop{self.hop} seed{self.seed} {draw} l:{latent}"


class RolloutModel:
    """A trained gesture model with its parts."""

    def __init__(self, vq: Path, gesture: Path, rest_take: TakeData) -> None:
        self.parts = load_parts(vq)
        model = build_gesture_model(load_config(gesture, GestureConfig))
        load_weights(gesture, model)
        self.kernel = EagerKernel(model)
        self.rest = rest_codes(rest_take, self.parts)
        channels = part_layout(BodyPart.LOWER, ARKIT_51.width).width
        # Root motion has no effect on these metrics: hands are relative to the pelvis or shoulder.
        walk = build_root_model(RootModelConfig(channels, width=4, layers=1, causal=True))
        self.decoder = PoseDecoder(self.parts, walk.eval(), face_width=ARKIT_51.width)

    def runner(self, settings: RolloutSettings) -> Runner:
        """The engine's window loop with these settings."""
        schedule = Schedule(64, settings.seed, settings.hop, 0)
        silence = FeatureExtractor(DEFAULT_FEATURES, CLOCK).silence
        selection = {BodyPart(k): CodeSelection(v) for k, v in settings.choices.items()}
        sampling = SamplingConfig(settings.temperature, settings.persistence, settings.radius)
        sampler = CodeSampler(self.parts, selection, sampling)
        return Runner(
            StagedStep(self.kernel, sampler, self.decoder, schedule.algorithmic_frames),
            WindowSpec(schedule, CLOCK, silence, ARKIT_51.width),
            self.rest,
        )

    def roll(
        self, audio: np.ndarray, words: np.ndarray | None, settings: RolloutSettings
    ) -> list[Motion]:
        """Motions for features `[B, T, F]` and word indices `[B, T]` (None: no words)."""
        rows, frames, _ = audio.shape
        runner, hop, window = self.runner(settings), settings.hop, 64
        state = runner.initial_state(list(range(rows)))
        known = np.zeros((rows, frames + window), np.int64)
        if words is not None:
            known[:, window:] = words
        chunks: list[list[Any]] = [[] for _ in range(rows)]
        speaker = torch.zeros(rows, dtype=torch.int64)
        for first in range(0, frames - hop + 1, hop):
            end = first + hop + window
            shown = known[:, end - window : end]
            windows = window_slices(audio[:, first : first + hop], shown, hop)
            for row, chunk in enumerate(runner.step(state, windows, speaker)):
                chunks[row].append(chunk)
        return [Motion(PoseFormat(clock=CLOCK), concatenate(row)) for row in chunks]


def rest_codes(take: TakeData, parts: Mapping[BodyPart, PartVae]) -> torch.Tensor:
    """Codes `[P]` of the rest pose: the most frequent codes of a silent take."""
    codes = encode_take(take, parts).codes
    return torch.stack([codes[:, p].mode().values for p in range(codes.shape[1])])


def stack(takes: Sequence[TakeData], silence: np.ndarray) -> np.ndarray:
    """Clean features `[B, T, F]`; shorter takes are padded with silence."""
    longest = max(t.audio.shape[1] for t in takes)
    result = np.tile(silence, (len(takes), longest, 1)).astype(np.float32)
    for row, take in enumerate(takes):
        result[row, : take.audio.shape[1]] = take.audio[0]
    return result


def crop(motion: Motion, frames: int) -> np.ndarray:
    """World positions of the first frames."""
    return motion.world_positions()[:frames]


def jaw_of(motion: Motion) -> np.ndarray:
    """Coefficient jawOpen `[T]`."""
    return np.asarray(motion.poses.face[:, ARKIT_51.coefficients.index("jawOpen")])


def freeze(speeds: Sequence[np.ndarray]) -> float:
    """Lowest mean arm speed (m/s) of any 10 s."""
    span = min(int(10 * FPS), min(len(s) for s in speeds) - 1)
    return float(min(s[i : i + span].mean() for s in speeds for i in range(0, len(s) - span, span)))


def wrist_jerk(positions: Sequence[np.ndarray]) -> float:
    """Mean jerk of the wrists (m/s3) in world positions `[T, J, 3]` of several motions."""
    return float(np.mean([mean_jerk(each[:, list(WRISTS)], FPS) for each in positions]))


def mouth_report(motions: Sequence[Motion], takes: Sequence[TakeData]) -> dict[str, float]:
    """Correlation of the jaw with the composed truth, and its opening in silence."""
    jaw = ARKIT_51.coefficients.index("jawOpen")
    made = np.concatenate(
        [jaw_of(m)[: len(t.motion.poses.face)] for m, t in zip(motions, takes, strict=True)]
    )
    true = np.concatenate(
        [t.motion.poses.face[: len(m.poses), jaw] for m, t in zip(motions, takes, strict=True)]
    )
    quiet = np.convolve(true > 0, np.ones(15), "same") == 0
    angle = np.concatenate(
        [
            log(m.poses.rotations[: len(t.motion.poses.face), 22])[:, 0]
            for m, t in zip(motions, takes, strict=True)
        ]
    )
    return {
        "jaw_r": float(np.corrcoef(made, true)[0, 1]),
        "jaw_ratio": float(made.std() / true.std()),
        "jaw_silent_p95": float(np.percentile(made[quiet], 95)) if quiet.any() else 0.0,
        "jaw_angle_silent_p95": float(np.percentile(angle[quiet], 95)) if quiet.any() else 0.0,
    }


def evaluate(
    model: RolloutModel, takes: Sequence[TakeData], settings: RolloutSettings, words: bool = False
) -> tuple[dict[str, Any], list[Motion]]:
    """Rollouts with and without audio; numbers, and the motions with audio."""
    silence = FeatureExtractor(DEFAULT_FEATURES, CLOCK).silence
    audio = stack(takes, silence)
    said = np.zeros(audio.shape[:2], np.int64)
    for row, take in enumerate(takes):
        said[row, : len(take.words)] = take.words
    began = time.monotonic()
    motions = model.roll(audio, said if words else None, settings)
    muted = model.roll(np.broadcast_to(silence, audio.shape).copy(), None, settings)
    lengths = [len(t.motion) for t in takes]
    speeds = [arm_speed(crop(m, n), FPS) for m, n in zip(motions, lengths, strict=True)]
    quiet = [arm_speed(crop(m, n), FPS) for m, n in zip(muted, lengths, strict=True)]
    utterances = [
        Utterance(stroke_times(s, FPS), t.stressed, n / FPS)
        for s, t, n in zip(speeds, takes, lengths, strict=True)
    ]
    mute = mute_report(speeds, quiet, FPS)
    numbers = {
        "setting": settings.label(),
        **asdict(stroke_test(utterances, 1000)),
        **asdict(mute),
        "mute_ratio": mute.ratio,
        **mouth_report(motions, takes),
        "wrist_jerk": wrist_jerk([crop(m, n) for m, n in zip(motions, lengths, strict=True)]),
        "slowest_10s": freeze(speeds),
        "speed_p99": float(np.percentile(np.concatenate(speeds), 99)),
        "seconds": time.monotonic() - began,
    }
    return numbers, motions


def truth(takes: Sequence[TakeData], motions: Sequence[Motion]) -> dict[str, Any]:
    """The same numbers for composed motion."""
    speeds = [arm_speed(m.world_positions(), FPS) for m in motions]
    utterances = [
        Utterance(stroke_times(s, FPS), t.stressed, len(s) / FPS)
        for s, t in zip(speeds, takes, strict=True)
    ]
    return {
        "setting": "composed",
        **asdict(stroke_test(utterances, 1000)),
        "speed": float(np.concatenate(speeds).mean()),
        "wrist_jerk": wrist_jerk([m.world_positions() for m in motions]),
    }


def show(numbers: Mapping[str, Any]) -> None:
    """Print the numbers in one line."""
    parts = [f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in numbers.items()]
    print(" ".join(parts), flush=True)


def main() -> None:
    """Evaluate several settings on held-out takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vq", type=Path, required=True)
    parser.add_argument("--gesture", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, default=[{}], help="JSON list of settings")
    parser.add_argument("--takes", type=int, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    takes = load_takes(options.data, "test", read_vocabulary(options.gesture), 3, options.takes)
    rest = next((t for t in takes if t.silent), takes[0])
    model = RolloutModel(options.vq, options.gesture, rest)
    spoken = [t for t in takes if not t.silent]
    results = []
    for entry in options.settings:
        numbers, motions = evaluate(model, spoken, RolloutSettings(**entry))
        show(numbers)
        results.append(numbers)
        draw(options.out, spoken, motions, RolloutSettings(**entry).label())
    write_text(options.out / "rollout.json", json.dumps(results, indent=1))


def draw(out: Path, takes: Sequence[TakeData], motions: Sequence[Motion], label: str) -> None:
    """Plot wrist heights and arm speeds of three takes with their stresses."""
    rows = [
        (f"{take.name} {take.voice} {label}", crop(motion, len(take.motion)), take.stressed)
        for take, motion in zip(takes[:3], motions[:3], strict=False)
    ]
    wrists_over_stresses(out / f"{label.replace(' ', '_').replace(':', '')}.png", rows, FPS)


if __name__ == "__main__":
    main()
