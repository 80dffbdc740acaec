"""Self-collision: rotates shoulders so that hands stay outside the body.

The body is a set of capsules around trunk, head and thighs of the SMPL-X rest skeleton.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.motion.pose import FloatArray
from engine.motion.rotation import (
    cross,
    exp,
    forward_kinematics,
    inverse,
    multiply,
    normalize,
    rotate,
)
from engine.motion.skeleton import SMPLX_55
from training.composer.arm_poses import ARM, SIDES
from training.composer.minimum_jerk import FPS, smooth

Floats = NDArray[np.floating[Any]]

_AXES = (("pelvis", "spine3", 0.135), ("neck", "head", 0.12), ("left_hip", "left_knee", 0.095),
         ("right_hip", "right_knee", 0.095))  # fmt: skip
"""First joint, second joint, radius in metres: a centimetre more than a thin body."""
_ROUNDS = 4
_SOFT_S = 0.09
_LEAST_REACH_M = 0.15


def _outward(points: Floats, positions: Floats) -> Floats:
    """Displacement `[T, 3]` that moves the deepest of points `[T, P, 3]` out; 0 outside."""
    best = np.zeros((len(points), 3))
    deepest = np.zeros(len(points))
    for first, last, radius in _AXES:
        start, end = (positions[:, SMPLX_55.index(name)][:, None] for name in (first, last))
        axis = end - start
        away = points - start
        along = (away * axis).sum(-1) / np.square(axis).sum(-1)
        gap = away - np.clip(along, 0.0, 1.0)[..., None] * axis
        distance = np.linalg.norm(gap, axis=-1)
        depth = radius - distance
        worst = depth.argmax(1)
        rows = np.arange(len(points))
        deeper = depth[rows, worst] > deepest
        way = gap[rows, worst] / np.maximum(distance[rows, worst], 1e-6)[:, None]
        best[deeper] = (way * depth[rows, worst][:, None])[deeper]
        deepest = np.maximum(deepest, depth[rows, worst])
    return best


def resolve_collisions(rotations: FloatArray) -> FloatArray:
    """Rotate the shoulders of `[T, 55, 4]` so that wrists and fingers stay outside the body."""
    result = rotations.astype(np.float64)
    still = np.zeros((len(result), 3))
    for _ in range(_ROUNDS):
        positions, world = forward_kinematics(
            SMPLX_55.parents, SMPLX_55.offsets.astype(np.float64), result, still
        )
        moved = False
        for side in SIDES:
            push = _outward(positions[:, [ARM[side][3], *ARM[side][4:]]], positions)
            if not push.any():
                continue
            moved = True
            _swing(result, positions, world, side, push)
        if not moved:
            break
    return result.astype(np.float32)


def _shifted(x: Floats, frames: int) -> Floats:
    """Delay `[T, 3]` by `frames` (negative: advance), filled with zeros."""
    result = np.zeros_like(x)
    if frames >= 0:
        result[frames:] = x[: len(x) - frames]
    else:
        result[:frames] = x[-frames:]
    return result


def _smoothed_turn(turn: Floats) -> Floats:
    """Smooth rotation vectors `[T, 3]`, dilated first because smoothing lowers the peak."""
    reach = min(int(2 * _SOFT_S * FPS), len(turn) - 1)
    near = sorted(range(-reach, reach + 1), key=abs)
    around = np.stack([_shifted(turn, k) for k in near])
    size = np.linalg.norm(around, axis=-1)
    first = (size > 0).argmax(0)  # nearest frame with a rotation
    way = around[first, np.arange(len(turn))]
    return smooth(normalize(way) * size.max(0)[:, None], _SOFT_S)


def _swing(rotations: Floats, positions: Floats, world: Floats, side: str, push: Floats) -> None:
    """Rotate one shoulder so that its hand moves by about `push` `[T, 3]`, in place."""
    collar, shoulder, _, wrist = ARM[side][:4]
    arm = positions[:, wrist] - positions[:, shoulder]
    reach = np.maximum(np.linalg.norm(arm, axis=-1, keepdims=True), _LEAST_REACH_M)
    turn = cross(normalize(arm), push) / reach
    local = rotate(inverse(world[:, collar]), _smoothed_turn(turn))
    rotations[:, shoulder] = normalize(multiply(exp(local), rotations[:, shoulder]))
