"""Feet: sliding on the floor, and steps.

A figure that never steps slides little, and one that steps often slides more: compare both.
"""

import numpy as np
from numpy.typing import NDArray

from bench.metrics.kinematics import Floats, runs

FEET = (10, 11)
"""left_foot and right_foot of SMPL-X: the balls of the feet."""
ANKLES = (7, 8)
NEAR_FLOOR_M = 0.05
SKATE_M_S = 0.5
STEP_M_S = 0.3
STEP_M = 0.05
_PLANE = [0, 2]
_SMOOTH = 5  # frames


def floor_of(positions: Floats) -> float:
    """Height (m) of the floor: 5th percentile of the feet's heights, positions `[T, J, 3]`."""
    return float(np.percentile(positions[:, list(FEET), 1], 5))


def plane_speeds(positions: Floats, fps: float) -> Floats:
    """Horizontal speeds `[T - 1, 2]` (m/s) of both feet, to the next frame."""
    steps = np.diff(positions[:, list(FEET)][:, :, _PLANE], axis=0)
    return np.asarray(np.linalg.norm(steps, axis=-1) * fps, np.float64)


def _smoothed(x: Floats) -> Floats:
    """Means over `_SMOOTH` frames of `[T, 2]`, with the first and last value repeated."""
    half = _SMOOTH // 2
    padded = np.pad(x, ((half, half), (0, 0)), mode="edge")
    return np.asarray(sum(padded[i : i + len(x)] for i in range(_SMOOTH)) / _SMOOTH, np.float64)


def planted(positions: Floats) -> NDArray[np.bool_]:
    """True `[T - 1, 2]` if a foot is near the floor in a frame and in the next one."""
    low = positions[:, list(FEET), 1] - floor_of(positions) < NEAR_FLOOR_M
    return np.asarray(low[:-1] & low[1:])


def skate_ratio(positions: Floats, fps: float) -> float:
    """Share of frames in which a foot on the floor is faster than SKATE_M_S.

    The definition of Guided Motion Diffusion (Karunratanakul et al. 2023): nearer to the floor than
    NEAR_FLOOR_M, faster in that frame and on average over five frames around it.
    """
    if len(positions) < 2:
        return 0.0
    fast = plane_speeds(positions, fps)
    sliding = planted(positions) & (fast > SKATE_M_S) & (_smoothed(fast) > SKATE_M_S)
    return float(sliding.any(1).mean())


def planted_speeds(positions: Floats, fps: float) -> Floats:
    """Horizontal speeds `[N]` (m/s) of feet near the floor."""
    if len(positions) < 2:
        return np.zeros(0)
    return plane_speeds(positions, fps)[planted(positions)]


def sliding_speed(positions: Floats, fps: float) -> float:
    """Mean horizontal speed (m/s) of feet near the floor; 0 without any."""
    own = planted_speeds(positions, fps)
    return float(own.mean()) if len(own) else 0.0


def steps(positions: Floats, fps: float, counted: NDArray[np.bool_] | None = None) -> int:
    """Number of steps: an ankle is faster than STEP_M_S, and stops more than STEP_M away.

    positions: `[T, J, 3]`. counted: frames `[T]` to search; all frames by default. The end of
    these frames ends a step.
    """
    count = 0
    for joint in ANKLES:
        path = positions[:, joint][:, _PLANE]
        moving = np.concatenate(
            [[False], np.linalg.norm(np.diff(path, axis=0), axis=-1) * fps > STEP_M_S]
        )
        for first, end in runs(moving if counted is None else moving & counted):
            count += bool(np.linalg.norm(path[end - 1] - path[first - 1]) > STEP_M)
    return count


def steps_per_minute(positions: Floats, fps: float) -> float:
    """Rate of `steps` over all frames of positions `[T, J, 3]`."""
    if len(positions) < 2:
        return 0.0
    return steps(positions, fps) * 60.0 * fps / (len(positions) - 1)
