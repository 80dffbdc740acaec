"""Distance of the feet and height of the hips, with legs by two-bone inverse kinematics.

A network that selects likely codes stands with its feet together on bent knees. Each ankle is moved
by a constant offset, so that a resting foot still rests, and keeps its orientation. The hips are
lowered if a leg would not reach.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np

from engine.config.serialize import require
from engine.motion.pose import PoseChunk
from engine.motion.rotation import between, inverse, multiply, normalize, rotate
from engine.motion.skeleton import SMPLX_55

MAX_M: Final = 0.15
_HIPS, _KNEES, _ANKLES = (
    [SMPLX_55.index(f"{side}_{name}") for side in ("left", "right")]
    for name in ("hip", "knee", "ankle")
)
_LEGS: Final = np.array([_HIPS, _KNEES, _ANKLES])
_BONES: Final = SMPLX_55.offsets[_LEGS[1:]].astype(np.float64)  # thighs and shins
_THIGH, _SHIN = np.linalg.norm(_BONES, axis=-1, keepdims=True)
_REACH: Final = 0.997 * (_THIGH + _SHIN)[:, 0]  # knees are never quite straight
_SOFT_M: Final = 0.002  # softness of the hips' upper bound
_HEADING_S: Final = 5.0  # time constant with which the offsets follow the heading of the hips


@dataclass(frozen=True)
class StanceConfig:
    """Stance of the legs.

    Attributes:
        foot_offset_m: sideways offset of each foot, metres, within 0.15; positive is outwards.
        hip_raise_m: vertical offset of the hips, metres, within 0.15; positive is up.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"aside": "foot_offset_m", "lift": "hip_raise_m"}

    foot_offset_m: float = 0.0
    hip_raise_m: float = 0.0

    def __post_init__(self) -> None:
        for name in ("foot_offset_m", "hip_raise_m"):
            metres = getattr(self, name)
            require(abs(metres) <= MAX_M, name, f"within {MAX_M:g} m", metres)


class Stance:
    """Stance of one stream, with the slow heading of the hips as state. frame_rate: frames/s."""

    def __init__(self, config: StanceConfig, frame_rate: float) -> None:
        self._config = config
        self._weight = 1.0 / (1.0 + _HEADING_S * frame_rate)
        self._left: np.ndarray | None = None

    def apply(self, chunk: PoseChunk) -> PoseChunk:
        """Change legs and hip height; chunks must be passed in order."""
        if not len(chunk):
            return chunk
        rotations, translation = chunk.rotations.copy(), chunk.translation.copy()
        own = rotations.astype(np.float64)
        pelvis = own[:, :1]
        thighs = multiply(pelvis, own[:, _HIPS])
        shins = multiply(thighs, own[:, _KNEES])
        feet = multiply(shins, own[:, _ANKLES])
        legs = np.stack([thighs, shins], 1)
        bones = rotate(legs, _BONES)  # [T, thigh and shin, left and right, 3]
        leg = bones.sum(1)
        reach = leg + self._config.foot_offset_m * self._outwards(pelvis[:, 0])
        rise = self._rise(reach)
        reach[..., 1] -= rise[:, None]
        upper = _thighs(_knee_directions(bones[:, 0], leg, pelvis), reach)
        reached = np.stack([upper, reach - upper], 1)
        legs = multiply(between(bones, reached), legs)
        parents = np.concatenate([pelvis[:, None].repeat(2, 2), legs], 1)
        children = np.concatenate([legs, feet[:, None]], 1)
        rotations[:, _LEGS] = multiply(inverse(parents), children)
        translation[:, 1] += rise
        return replace(chunk, rotations=rotations, translation=translation)

    def _outwards(self, pelvis: np.ndarray) -> np.ndarray:
        """Horizontal unit vectors `[T, 2, 3]` away from the other foot, by the slow heading."""
        w, x, y, z = pelvis.T
        lefts = np.zeros((len(pelvis), 3))
        lefts[:, 0], lefts[:, 2] = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * z - w * y)
        for left in lefts:
            old = left if self._left is None else self._left
            left[:] = normalize(old + self._weight * (left - old))
            self._left = left.copy()
        return np.stack([lefts, -lefts], 1)

    def _rise(self, reach: np.ndarray) -> np.ndarray:
        """Rise of the hips `[T]` for ankles at `reach` `[T, 2, 3]` from them: a soft minimum."""
        level = np.square(reach[..., (0, 2)]).sum(-1)
        spare = np.sqrt(np.clip(_REACH**2 - level, 0.0, None)) + reach[..., 1]
        target = np.full((len(reach), 1), self._config.hip_raise_m)
        bounds = np.concatenate([target, spare], 1)
        lowest = bounds.min(1)
        total = np.exp((lowest[:, None] - bounds) / _SOFT_M).sum(1)
        return np.asarray(lowest - _SOFT_M * np.log(total))


def _orthogonal(vectors: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Components of vectors `[T, 2, 3]` orthogonal to unit vectors `axes`."""
    return np.asarray(vectors - (vectors * axes).sum(-1, keepdims=True) * axes)


def _knee_directions(thigh: np.ndarray, leg: np.ndarray, pelvis: np.ndarray) -> np.ndarray:
    """Directions of the knees `[T, 2, 3]`, metres; for straight legs the front of the hips."""
    front = rotate(pelvis, np.array([0.0, 0.0, 1.0]))
    return _orthogonal(thigh, normalize(leg)) + 1e-3 * front


def _thighs(knee_directions: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Thigh vectors `[T, 2, 3]` of legs that end at `reach`."""
    length = np.linalg.norm(reach, axis=-1, keepdims=True)
    axis = reach / length
    front = normalize(_orthogonal(knee_directions, axis))
    along = (_THIGH**2 - _SHIN**2 + length**2) / (2.0 * length)
    return np.asarray(axis * along + front * np.sqrt(np.clip(_THIGH**2 - along**2, 0.0, None)))
