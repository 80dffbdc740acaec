"""How wide and how upright one stands: feet farther apart, hips higher, legs bent to reach both.

A network that takes likely codes stands with its feet together on bent knees. Each foot is moved by
the same way in every frame, so that one that rests still rests, and turned as it was. Hips sink
where a leg would not reach.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engine.config.serialize import require
from engine.motion.pose import PoseChunk
from engine.motion.rotation import between, inverse, multiply, normalize, rotate
from engine.motion.skeleton import SMPLX_55

MOST_M: Final = 0.15
_HIPS, _KNEES, _ANKLES = (
    [SMPLX_55.index(f"{side}_{name}") for side in ("left", "right")]
    for name in ("hip", "knee", "ankle")
)
_LEGS: Final = np.array([_HIPS, _KNEES, _ANKLES])
_BONES: Final = SMPLX_55.offsets[_LEGS[1:]].astype(np.float64)  # thighs and shins
_THIGH, _SHIN = np.linalg.norm(_BONES, axis=-1, keepdims=True)
_REACH: Final = 0.997 * (_THIGH + _SHIN)[:, 0]  # knees are never quite straight
_SOFT_M: Final = 0.002  # hips slow down before they reach the bound
_HEADING_S: Final = 5.0  # in which feet follow where the hips are turned


@dataclass(frozen=True)
class StanceConfig:
    """Metres: aside, of each foot away from the other; lift, of the hips."""

    aside: float = 0.0
    lift: float = 0.0

    def __post_init__(self) -> None:
        for name, metres in (("aside", self.aside), ("lift", self.lift)):
            require(abs(metres) <= MOST_M, name, f"within {MOST_M:g} m", metres)


class Stance:
    """The stance of one stream; remembers which way is left. frame_rate: frames a second."""

    def __init__(self, config: StanceConfig, frame_rate: float) -> None:
        self._config = config
        self._share = 1.0 / (1.0 + _HEADING_S * frame_rate)
        self._left: np.ndarray | None = None

    def over(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk with legs and height of the hips changed; chunks come in order."""
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
        reach = leg + self._config.aside * self._outwards(pelvis[:, 0])
        rise = self._rise(reach)
        reach[..., 1] -= rise[:, None]
        upper = _bent(_ahead(bones[:, 0], leg, pelvis), reach)
        reached = np.stack([upper, reach - upper], 1)
        legs = multiply(between(bones, reached), legs)
        above = np.concatenate([pelvis[:, None].repeat(2, 2), legs], 1)
        below = np.concatenate([legs, feet[:, None]], 1)
        rotations[:, _LEGS] = multiply(inverse(above), below)
        translation[:, 1] += rise
        return replace(chunk, rotations=rotations, translation=translation)

    def _outwards(self, pelvis: np.ndarray) -> np.ndarray:
        """Level unit vectors `[T, 2, 3]` away from the other foot, by the hips' slow heading."""
        w, x, y, z = pelvis.T
        lefts = np.zeros((len(pelvis), 3))
        lefts[:, 0], lefts[:, 2] = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * z - w * y)
        for left in lefts:
            old = left if self._left is None else self._left
            left[:] = normalize(old + self._share * (left - old))
            self._left = left.copy()
        return np.stack([lefts, -lefts], 1)

    def _rise(self, reach: np.ndarray) -> np.ndarray:
        """How far the hips rise `[T]` with ankles `reach` `[T, 2, 3]` from them: softly bounded."""
        level = np.square(reach[..., (0, 2)]).sum(-1)
        spare = np.sqrt(np.clip(_REACH**2 - level, 0.0, None)) + reach[..., 1]
        bounds = np.concatenate([np.full((len(reach), 1), self._config.lift), spare], 1)
        lowest = bounds.min(1)
        past = np.exp((lowest[:, None] - bounds) / _SOFT_M).sum(1)
        return np.asarray(lowest - _SOFT_M * np.log(past))


def _across(vectors: np.ndarray, along: np.ndarray) -> np.ndarray:
    """What of vectors `[T, 2, 3]` is at right angles to unit vectors."""
    return np.asarray(vectors - (vectors * along).sum(-1, keepdims=True) * along)


def _ahead(thigh: np.ndarray, leg: np.ndarray, pelvis: np.ndarray) -> np.ndarray:
    """Where knees stand out `[T, 2, 3]`, in metres; those of straight legs go before the hips."""
    hips = rotate(pelvis, np.array([0.0, 0.0, 1.0]))
    return _across(thigh, normalize(leg)) + 1e-3 * hips


def _bent(ahead: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Thighs `[T, 2, 3]` of legs that reach so far, with knees that stand out `ahead`."""
    length = np.linalg.norm(reach, axis=-1, keepdims=True)
    along = reach / length
    ahead = normalize(_across(ahead, along))
    shift = (_THIGH**2 - _SHIN**2 + length**2) / (2.0 * length)
    return np.asarray(along * shift + ahead * np.sqrt(np.clip(_THIGH**2 - shift**2, 0.0, None)))
