"""Conversion between Euler angles in any order and quaternions.

Orders are intrinsic, as channels in motion files: `ZXY` is R = Rz Rx Ry.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.motion import rotation as rot

FloatArray = NDArray[np.float64]
AXES = "XYZ"


def from_euler(degrees: FloatArray, order: Sequence[str]) -> FloatArray:
    """Quaternions `[..., 4]` of angles `[..., N]` in degrees about the N axes of `order`.

    Any number of axes is allowed, also repeated ones; none gives identity.
    """
    result = rot.identity(*degrees.shape[:-1]).astype(np.float64)
    for i, axis in enumerate(order):
        half = np.radians(degrees[..., i]) / 2
        turn = np.zeros((*degrees.shape[:-1], 4))
        turn[..., 0] = np.cos(half)
        turn[..., 1 + AXES.index(axis)] = np.sin(half)
        result = rot.multiply(result, turn) if i else turn
    return result


def to_euler(quaternions: FloatArray, order: str) -> FloatArray:
    """Euler angles `[..., 3]` in degrees of quaternions `[..., 4]`; `order` is a permutation.

    The middle angle is in -90..90; at gimbal lock the last one is zero.
    """
    if sorted(order) != list(AXES):
        raise ConfigError(f"expected an order of the three axes such as 'ZXY', got {order!r}")
    i, j, k = (AXES.index(axis) for axis in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    m = rot.to_matrix(quaternions)
    middle = np.arcsin(np.clip(sign * m[..., i, k], -1.0, 1.0))
    first = np.arctan2(-sign * m[..., j, k], m[..., k, k])
    last = np.arctan2(-sign * m[..., i, j], m[..., i, i])
    # At gimbal lock the first and last axis coincide: the first gets the whole angle.
    locked = np.abs(m[..., i, k]) > 1.0 - 1e-12
    first = np.where(locked, np.arctan2(sign * m[..., k, j], m[..., j, j]), first)
    return np.degrees(np.stack([first, middle, np.where(locked, 0.0, last)], -1))
