"""Strokes: peaks of arm speed, and their distances to stressed vowels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.kinematics import WRISTS, Floats
from engine.motion.skeleton import SMPLX_55

STROKE_SPEED = 0.5
"""Minimum speed of a stroke's peak, m/s; slower movements are drift, retraction and idle motion."""
NEAR_S = 0.15
"""Maximum distance between a stroke and a stress that belong together."""
_SPACING_S = 0.25
_SHOULDERS = [SMPLX_55.index(f"{side}_shoulder") for side in ("left", "right")]


def arm_speed(positions: NDArray[Any], fps: float) -> Floats:
    """Speed `[T]` (m/s) of the faster wrist relative to its shoulder, positions `[T, J, 3]`.

    Turns of the trunk do not count. Frame t has the movement from t - 1 to t; frame 0 is 0.
    """
    return _faster(positions[:, WRISTS] - positions[:, _SHOULDERS], fps)


def wrist_speed(positions: NDArray[Any], fps: float) -> Floats:
    """Speed `[T]` (m/s) of the faster wrist relative to the pelvis, positions `[T, J, 3]`.

    Frame t has the movement from t - 1 to t; frame 0 is 0. Strokes are found in `arm_speed`.
    """
    return _faster(positions[:, WRISTS] - positions[:, :1], fps)


def _faster(wrists: NDArray[Any], fps: float) -> Floats:
    steps = np.linalg.norm(np.diff(wrists.astype(np.float64), axis=0), axis=-1).max(-1)
    return np.concatenate([[0.0], steps * fps])


def stroke_times(speed: Floats, fps: float, floor: float = STROKE_SPEED) -> Floats:
    """Times (s) of the peaks of the arm speed `[T]` of at least `floor`.

    Of peaks less than 0.25 s apart only the fastest counts.
    """
    smooth = np.convolve(np.pad(speed, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    inner = smooth[1:-1]
    peaks = 1 + np.flatnonzero((inner >= smooth[:-2]) & (inner > smooth[2:]) & (inner >= floor))
    kept: list[int] = []
    for peak in sorted(peaks, key=lambda p: -smooth[p]):
        if all(abs(peak - other) >= _SPACING_S * fps for other in kept):
            kept.append(int(peak))
    # The movement to frame t happens, on average, half a frame before it.
    return (np.array(sorted(kept), float) - 0.5) / fps


def nearest(strokes: Floats, stresses: Floats) -> Floats:
    """Distance (s) from each stroke to the nearest stress: positive if the stroke is later.

    Infinite without stresses.
    """
    if not len(stresses) or not len(strokes):
        return np.full(len(strokes), np.inf)
    away = strokes[:, None] - stresses[None, :]
    return away[np.arange(len(strokes)), np.abs(away).argmin(1)]
