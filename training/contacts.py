"""Foot contact and the floor: which feet stand still, and where the floor is."""

import numpy as np
from numpy.typing import NDArray

from engine.skeleton import CONTACT_JOINTS

STILL_M = 0.01
"""A foot joint that moves less than this from one frame to the next stands (EMAGE, 30 fps)."""


def foot_contacts(positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Contacts `[T, 4]` (0 or 1) of world positions `[T, J, 3]`; the last frame has contact."""
    feet = positions[:, list(CONTACT_JOINTS)]
    moved = np.linalg.norm(np.diff(feet, axis=0), axis=-1)
    return np.concatenate([moved < STILL_M, np.ones((1, 4), bool)]).astype(np.float32)


def floor_height(positions: NDArray[np.float32]) -> float:
    """Median over time of the lowest foot joint's height, in metres."""
    return float(np.median(positions[:, list(CONTACT_JOINTS), 1].min(1)))
