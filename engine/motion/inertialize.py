"""Inertialisation of seams: the offset between emitted frames and a new window.

A new window decodes the last emitted frames once more. If they differ (a decoder with right
context, another seed, a reset), the difference is added to the new frames and decays like a
critically damped spring. With causal decoders the difference is zero and the frames pass unchanged:
this is no low-pass filter and adds no delay.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.motion import rotation

FloatArray = NDArray[np.float32]


class Offset(NamedTuple):
    """A difference and its rate per frame, `[..., N]`."""

    value: FloatArray
    rate: FloatArray


def decay(offset: Offset, frames: FloatArray, half_life_frames: float) -> FloatArray:
    """The offset after `frames [T]`, as `[T, ..., N]`: a critically damped spring towards zero."""
    damping = 2.0 * math.log(2.0) / half_life_frames
    t = frames.reshape(-1, *([1] * offset.value.ndim)).astype(np.float32)
    slope = offset.rate + damping * offset.value
    return np.asarray(np.exp(-damping * t) * (offset.value + slope * t), np.float32)


def linear_offset(emitted: FloatArray, again: FloatArray) -> Offset:
    """Offset of the last two frames `[2, ..., N]` as emitted against the same decoded again."""
    difference = emitted - again
    return Offset(difference[1], difference[1] - difference[0])


def rotation_offset(emitted: FloatArray, again: FloatArray) -> Offset:
    """The same for quaternions `[2, ..., 4]`; the offset is a rotation vector `[..., 3]`."""
    difference = rotation.log(rotation.multiply(emitted, rotation.inverse(again)))
    return Offset(difference[1], difference[1] - difference[0])


def add_linear(frames: FloatArray, offset: Offset, half_life_frames: float) -> FloatArray:
    """Frames `[T, ..., N]` with the decaying offset."""
    steps = np.arange(1, len(frames) + 1, dtype=np.float32)
    return frames + decay(offset, steps, half_life_frames)


def add_rotation(frames: FloatArray, offset: Offset, half_life_frames: float) -> FloatArray:
    """Quaternions `[T, ..., 4]` with the decaying offset."""
    steps = np.arange(1, len(frames) + 1, dtype=np.float32)
    turn = rotation.exp(decay(offset, steps, half_life_frames))
    return np.asarray(rotation.multiply(turn, frames), np.float32)
