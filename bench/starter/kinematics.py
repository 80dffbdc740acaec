"""Kinematics: feet, steps, jerk, joint limits, hand penetration, blinks.

Of scenes or of recorded clips; targets are in `bench.starter.targets`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.metrics.feet import skate_ratio, steps
from bench.metrics.kinematics import WRISTS, Floats, world_positions
from bench.metrics.penetration import INSIDE_M, hand_depths
from bench.metrics.posture import weight_shifts
from bench.metrics.smoothness import mean_jerk
from bench.quality.motion_files import read_motion
from bench.starter import Numbers
from bench.starter.renderings import Scene, with_transcript
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import Motion
from training.composer.blend import Clip
from training.sources.retarget_metrics import measure

_BLINK = ARKIT_51.coefficients.index("eyeBlinkLeft")
_LID_DOWN = 0.5


def motion_numbers(motions: Sequence[Motion]) -> Numbers:
    """Numbers of motions without speech; means over all frames."""
    weights = np.array([len(motion) for motion in motions], float)
    world = [world_positions(motion) for motion in motions]
    fps = [float(motion.format.clock.frame_rate) for motion in motions]
    pairs = list(zip(world, fps, strict=True))

    def over(measured: Callable[[Floats, float], float]) -> float:
        return float(np.average([measured(*pair) for pair in pairs], weights=weights))

    depths = np.concatenate([hand_depths(w, motions[0].format.skeleton) for w in world])
    checked = [measure(motion).bent_back_share for motion in motions]
    back = [np.average([shares[j] for shares in checked], weights=weights) for j in checked[0]]
    return {
        "skate ratio": over(skate_ratio),
        "jerk m/s3": over(mean_jerk),
        "jerk of wrists m/s3": over(lambda points, rate: mean_jerk(points[:, WRISTS], rate)),
        "hands in the body": float((depths > INSIDE_M).mean()),
        "elbows or knees bent back": float(max(back)),
    }


def body_numbers(scenes: Sequence[Scene]) -> Numbers:
    """Numbers of scenes, including those that need speech or faces."""
    numbers = motion_numbers([scene.motion for scene in scenes])
    known = [scene.sample for scene in with_transcript(scenes)]
    talking = sum(float(s.talking.sum()) / s.fps for s in known) / 60
    if talking:
        stepped = sum(steps(s.positions, s.fps, s.talking) for s in known)
        shifted = sum(weight_shifts(s.positions, s.talking) for s in known)
        numbers["steps a minute"] = stepped / talking
        numbers["weight shifts a minute"] = shifted / talking
        numbers["weight shifts or steps a minute"] = (
            numbers["steps a minute"] + numbers["weight shifts a minute"]
        )
        speeds = np.concatenate([s.wrist_speeds[s.talking] for s in known])
        numbers["wrist speed in speech m/s"] = float(speeds.mean())
    if scenes[0].motion.format.face.name == ARKIT_51.name:
        minutes = sum(scene.seconds for scene in scenes) / 60
        numbers["blinks a minute"] = sum(blinks(s.motion) for s in scenes) / minutes
    return numbers


def blinks(motion: Motion) -> int:
    """Number of closures of the left eyelid."""
    down = motion.poses.face[:, _BLINK] > _LID_DOWN
    return int((down[1:] & ~down[:-1]).sum())


def clip_motions(folder: Path, clips: Sequence[Clip]) -> list[Motion]:
    """Motions of clips in the folder of the stage retarget."""
    return [read_motion(folder / "clips" / f"{clip.name}.npz") for clip in clips]
