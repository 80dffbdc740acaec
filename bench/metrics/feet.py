"""Feet: do they slide on the floor, and how often are they set anew?

A figure that never steps slides little, and one that steps a lot slides more: read both together.
"""

import numpy as np
from numpy.typing import NDArray

from bench.metrics.kinematics import Floats

FEET = (10, 11)
"""left_foot and right_foot of SMPL-X: the balls of the feet."""
NEAR_FLOOR_M = 0.05
SKATE_M_S = 0.5
STEP_M_S = 0.3
STEP_M = 0.05
REST_S = 0.15
_PLANE = [0, 2]
_SMOOTH = 5  # frames


def floor_of(positions: Floats) -> float:
    """The floor's height (m): 5 % of the feet's heights lie below it; positions `[T, J, 3]`."""
    return float(np.percentile(positions[:, list(FEET), 1], 5))


def plane_speeds(positions: Floats, fps: float) -> Floats:
    """Speeds `[T - 1, 2]` (m/s) of both feet along the floor, to the next frame."""
    steps = np.diff(positions[:, list(FEET)][:, :, _PLANE], axis=0)
    return np.asarray(np.linalg.norm(steps, axis=-1) * fps, np.float64)


def _smoothed(x: Floats) -> Floats:
    """Means over `_SMOOTH` frames of `[T, 2]`, the ends held."""
    half = _SMOOTH // 2
    padded = np.pad(x, ((half, half), (0, 0)), mode="edge")
    return np.asarray(sum(padded[i : i + len(x)] for i in range(_SMOOTH)) / _SMOOTH, np.float64)


def planted(positions: Floats) -> NDArray[np.bool_]:
    """Frames `[T - 1, 2]` in which a foot is near the floor and still is in the next one."""
    low = positions[:, list(FEET), 1] - floor_of(positions) < NEAR_FLOOR_M
    return np.asarray(low[:-1] & low[1:])


def skate_ratio(positions: Floats, fps: float) -> float:
    """Share of frames in which a foot on the floor runs faster than SKATE_M_S.

    The definition of Guided Motion Diffusion (Karunratanakul et al. 2023): nearer to the floor than
    NEAR_FLOOR_M, faster at that frame and over five frames around it.
    """
    if len(positions) < 2:
        return 0.0
    fast = plane_speeds(positions, fps)
    sliding = planted(positions) & (fast > SKATE_M_S) & (_smoothed(fast) > SKATE_M_S)
    return float(sliding.any(1).mean())


def sliding_speed(positions: Floats, fps: float) -> float:
    """Mean speed (m/s) of feet near the floor; 0 for feet that never are."""
    if len(positions) < 2:
        return 0.0
    own = plane_speeds(positions, fps)[planted(positions)]
    return float(own.mean()) if len(own) else 0.0


def _swings(moving: NDArray[np.bool_], least_rest: float) -> list[tuple[int, int]]:
    """First and last frame of each stretch of moving, those nearer than `least_rest` as one."""
    edges = np.diff(np.concatenate([[0], moving.astype(int), [0]]))
    swings: list[tuple[int, int]] = []
    for first, last in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        if swings and first - swings[-1][1] < least_rest:
            swings[-1] = (swings[-1][0], int(last))
        else:
            swings.append((int(first), int(last)))
    return swings


def steps_per_minute(positions: Floats, fps: float) -> float:
    """How often a foot is set anew: it moves faster than STEP_M_S and comes to rest STEP_M away.

    A foot that turns round in the air does not rest there: rests shorter than REST_S are none.
    """
    if len(positions) < 2:
        return 0.0
    moving = _smoothed(plane_speeds(positions, fps)) > STEP_M_S
    count = 0
    for side, foot in enumerate(FEET):
        for first, last in _swings(moving[:, side], REST_S * fps):
            way = positions[last, foot][_PLANE] - positions[first, foot][_PLANE]
            count += bool(np.linalg.norm(way) >= STEP_M)
    return count * 60.0 * fps / (len(positions) - 1)
