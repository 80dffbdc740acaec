"""Synthetic clips for composer tests: hanging arms, and forearms raised to the front."""

import numpy as np

from engine.motion.rotation import exp, identity
from training.composer.blend import Clip, ease
from training.composer.library import ClipLibrary


def hanging(frames: int) -> np.ndarray:
    """Rotations `[T, 55, 4]` of a standing figure with hanging arms."""
    rotations = identity(frames, 55)
    for joint, side in ((16, -1.0), (17, 1.0)):
        rotations[:, joint] = exp(np.array([0, 0, side * 1.3], np.float32))
    return rotations


def rising(frames: int = 90, sides: tuple[int, ...] = (18, 19), bend: float = 1.7) -> np.ndarray:
    """Rotations `[T, 55, 4]` whose forearms rise within a second and stay."""
    rotations = hanging(frames)
    progress = ease(np.linspace(0, 3, frames))[:, None]
    for elbow in sides:
        turn = np.array([0, (-1.0 if elbow == 18 else 1.0) * bend, 0])
        rotations[:, elbow] = exp((progress * turn).astype(np.float32))
    return rotations


def clip(
    rotations: np.ndarray, use: str, family: str = "", name: str = "", split: str = "train"
) -> Clip:
    """A clip without root motion."""
    frames = len(rotations)
    travel = np.tile(np.array([0.0, 1.28, 0.0], np.float32), (frames, 1))
    contacts = np.ones((frames, 4), np.float32)
    named = name or family or use
    return Clip(named, rotations, travel, contacts, use, split, family, "both", "A")


def small_library() -> ClipLibrary:
    """A library of one idle clip and three gestures."""
    clips = [
        clip(hanging(90), "idle"),
        clip(rising(), "gesture", "BeatMid"),
        clip(rising(bend=2.0), "gesture", "Negative"),
        clip(rising(sides=(18,)), "gesture", "Point"),
    ]
    return ClipLibrary(clips, "train")
