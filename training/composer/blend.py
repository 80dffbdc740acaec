"""Clip operations: sampling, easing, blending, mirroring, joint bends, twist distribution.

Rotations are local, wxyz, `[T, 55, 4]`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from engine.motion.pose import FloatArray
from engine.motion.rotation import cross, exp, inverse, multiply, normalize, rotate
from engine.motion.skeleton import SMPLX_55

MARKERS = ("ready", "strokeStart", "emphasis", "stroke", "relax")


@dataclass(frozen=True)
class Clip:
    """A retargeted clip at 30 frames/s.

    Attributes:
        name: unique name.
        rotations: `[T, 55, 4]`.
        translation: `[T, 3]`, metres.
        contacts: `[T, 4]`.
        use: gesture, idle or fidget.
        split: train or test.
        family: clip family, as in `training.composer.library.FAMILIES`.
        hand: gesturing hand, as in clips.tsv.
        actor: recorded actor.
        times: times of MARKERS, seconds; empty if one is missing.

    """

    name: str
    rotations: FloatArray
    translation: FloatArray
    contacts: FloatArray
    use: str
    split: str
    family: str = ""
    hand: str = ""
    actor: str = ""
    times: tuple[float, ...] = ()

    @property
    def duration(self) -> float:
        """Time from the first to the last frame, seconds."""
        return (len(self.rotations) - 1) / 30


def ease(x: np.ndarray) -> np.ndarray:
    """Minimum-jerk easing 0..1 -> 0..1 with zero velocity at both ends."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (10 - 15 * x + 6 * x * x)


def eased(times: np.ndarray, knots: Sequence[tuple[float, float]]) -> np.ndarray:
    """Sample at `times` a curve with zero velocity at each knot (time, value), in order."""
    value = np.full(len(times), knots[0][1])
    for (t0, v0), (t1, v1) in pairwise(knots):
        inside = times >= t0
        value[inside] = v0 + (v1 - v0) * ease((times[inside] - t0) / max(t1 - t0, 1e-6))
    return value


def continuous(rotations: FloatArray) -> FloatArray:
    """Flip signs of quaternions `[T, J, 4]` so that neighbours interpolate the short way."""
    dots = (rotations[1:] * rotations[:-1]).sum(-1)
    signs = np.concatenate(
        [np.ones_like(dots[:1]), np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)]
    )
    return np.asarray(rotations * signs[..., None], np.float32)


def sample(values: FloatArray, at: np.ndarray) -> FloatArray:
    """Linear interpolation of `[T, ...]` at fractional frames `at` `[n]`, clamped at the ends."""
    at = np.clip(at, 0, len(values) - 1)
    low = np.minimum(at.astype(int), max(len(values) - 2, 0))
    high = np.minimum(low + 1, len(values) - 1)
    along = (at - low).reshape(-1, *(1,) * (values.ndim - 1)).astype(np.float32)
    return values[low] * (1 - along) + values[high] * along


def sample_rotations(rotations: FloatArray, at: np.ndarray) -> FloatArray:
    """Interpolate unit quaternions of a `continuous` clip at fractional frames."""
    return normalize(sample(rotations, at))


def mix(a: FloatArray, b: FloatArray, weight: np.ndarray) -> FloatArray:
    """Normalised interpolation from `a` to `b` `[T, J, 4]` by `weight`, broadcast to `[T, J]`."""
    sign = np.where((a * b).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    w = weight[..., None].astype(np.float32)
    return np.asarray(normalize(a * (1 - w) + sign * b * w), np.float32)


def _partners() -> list[int]:
    names = SMPLX_55.joint_names
    swap = {"left": "right", "right": "left"}
    result = []
    for name in names:
        side, _, rest = name.partition("_")
        result.append(names.index(f"{swap[side]}_{rest}") if side in swap else names.index(name))
    return result


PARTNERS = _partners()
"""Index of each joint's counterpart on the other side."""
_HANDS = {"left": "right", "right": "left"}


def mirrored(clip: Clip) -> Clip:
    """Mirror a clip: exchange left and right."""
    rotations = clip.rotations[:, PARTNERS] * np.array([1, 1, -1, -1], np.float32)
    return replace(
        clip,
        rotations=rotations,
        translation=clip.translation * np.array([-1, 1, 1], np.float32),
        contacts=clip.contacts[:, [1, 0, 3, 2]],
        hand=_HANDS.get(clip.hand, clip.hand),
    )


_ELBOWS = {"left": (18, 20), "right": (19, 21)}


def bend_elbow(rotations: FloatArray, side: str, angle: np.ndarray) -> None:
    """Bend the elbow of `side` by `angle` `[T]` radians (negative: straighten), in place.

    Rotates about the axis of the present bend; a nearly straight arm is unchanged.
    """
    elbow, wrist = _ELBOWS[side]
    upper = normalize(SMPLX_55.offsets[elbow])
    fore = rotate(rotations[:, elbow], normalize(SMPLX_55.offsets[wrist]))
    axis = cross(np.broadcast_to(upper, fore.shape), fore)
    sine = np.sqrt((axis * axis).sum(-1))
    use = ease((sine - 0.15) / 0.35) * angle
    turn = exp((normalize(axis) * use[:, None]).astype(np.float32))
    rotations[:, elbow] = normalize(multiply(turn, rotations[:, elbow]))
    # Follow-through of the hand.
    flick = exp((normalize(axis) * (0.45 * use)[:, None]).astype(np.float32))
    inner = multiply(multiply(inverse(rotations[:, elbow]), flick), rotations[:, elbow])
    rotations[:, wrist] = normalize(multiply(inner, rotations[:, wrist]))


def distribute_twist(rotations: FloatArray) -> FloatArray:
    """Distribute the twist of each arm bone equally over its two joints; hands stay as they are.

    Sources differ in where they put the twist. Captured SMPL-X motion has little at any one joint,
    and skinning artefacts are then smallest.
    """
    result = rotations.copy()
    for elbow, wrist in _ELBOWS.values():
        for near, far in ((elbow - 2, elbow), (elbow, wrist)):
            axis = normalize(SMPLX_55.offsets[far]).astype(rotations.dtype)
            excess = 0.5 * (_twist(result[:, far], axis) - _twist(result[:, near], axis))
            turn = exp(excess[:, None] * axis)
            result[:, near] = multiply(result[:, near], turn)
            result[:, far] = multiply(inverse(turn), result[:, far])
    return result


def _twist(q: FloatArray, axis: FloatArray) -> FloatArray:
    """Twist angles `[T]` of `q` `[T, 4]` about `axis`, radians, unwrapped."""
    half = np.arctan2((q[:, 1:] * axis).sum(-1), q[:, 0])
    half -= np.pi * np.round(half[0] / np.pi)  # q and -q are the same turn
    return np.asarray(2 * np.unwrap(half, period=np.pi), q.dtype)


def turn_joint(rotations: FloatArray, joint: int, rotvec: np.ndarray) -> None:
    """Rotate `joint` by rotation vectors `[T, 3]` in its parent's frame, in place."""
    rotations[:, joint] = normalize(multiply(exp(rotvec.astype(np.float32)), rotations[:, joint]))
