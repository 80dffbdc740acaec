"""Foot contacts and floor height from joint positions."""

import numpy as np
from numpy.typing import NDArray

from engine.motion.skeleton import CONTACT_JOINTS

_FPS = 30.0
STILL_M = 0.01
"""Largest movement of a foot joint in contact, metres per frame at 30 fps (EMAGE)."""


def foot_contacts(positions: NDArray[np.float32], fps: float = _FPS) -> NDArray[np.float32]:
    """Contacts `[T, 4]` (0 or 1) of world positions `[T, J, 3]`; the last frame is 1.

    At other frame rates the threshold is that of the same speed.
    """
    feet = positions[:, list(CONTACT_JOINTS)]
    moved = np.linalg.norm(np.diff(feet, axis=0), axis=-1)
    still = moved < STILL_M * (_FPS / fps)
    return np.concatenate([still, np.ones((1, 4), bool)]).astype(np.float32)


def floor_height(positions: NDArray[np.float32]) -> float:
    """Median over time of the height of the lowest foot joint, metres."""
    return float(np.median(positions[:, list(CONTACT_JOINTS), 1].min(1)))
