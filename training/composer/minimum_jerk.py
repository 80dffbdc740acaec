"""Overlapping minimum-jerk movements, and smooth noise.

A movement may start before the previous one has ended; both are then superposed (Flash and Henis,
1991), so that velocities stay continuous.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.motion.pose import FloatArray
from engine.motion.rotation import exp, inverse, log, multiply, normalize
from training.composer.blend import continuous, ease

FPS = 30


class Track:
    """Minimum-jerk trajectory `[T, ...]` through a sequence of goals."""

    def __init__(self, frames: int, start: np.ndarray | float) -> None:
        self._times = np.arange(frames) / FPS
        self.goal = np.asarray(start, float)
        self.values = np.broadcast_to(self.goal, (frames, *self.goal.shape)).copy()

    def move(self, start: float, seconds: float, goal: np.ndarray | float) -> None:
        """Add a movement to `goal` that lasts `seconds` from `start`."""
        goal = np.asarray(goal, float)
        along = ease((self._times - start) / max(seconds, 1e-3))
        self.values += along.reshape(-1, *(1,) * goal.ndim) * (goal - self.goal)
        self.goal = goal


def bump(times: np.ndarray, centre: float, rise: float, fall: float) -> np.ndarray:
    """Pulse 0 -> 1 -> 0 around `centre` that rises in `rise` and falls in `fall` seconds."""
    return ease((times - centre + rise) / rise) * ease((centre + fall - times) / fall)


def drift(count: int, channels: int, every: float, rng: np.random.Generator) -> FloatArray:
    """Smooth noise `[count, channels]` in -1..1 with a new random goal every `every` frames."""
    knots = int(count / every) + 3
    goals = np.clip(rng.standard_normal((knots, channels)) * 0.6, -1, 1)
    place = (np.arange(count) + rng.uniform(0, every)) / every
    index = place.astype(int)
    along = ease(place - index)[:, None]
    return np.asarray((1 - along) * goals[index] + along * goals[index + 1], np.float32)


def smooth(x: np.ndarray, seconds: float) -> np.ndarray:
    """Gaussian filter of `[T, C]` over time, standard deviation `seconds`; edges are repeated."""
    reach = int(3 * seconds * FPS)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (seconds * FPS)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(x, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], 1)


@dataclass(frozen=True)
class Move:
    """A movement of joints.

    Attributes:
        start: start time, seconds.
        end: end time, seconds.
        target: rotations at the end, `[J, 4]`.
        way: recorded rotations `[n, J, 4]` whose course it follows; None for the shortest way.
        paced: true if `way` keeps its own timing; false for minimum-jerk timing.

    """

    start: float
    end: float
    target: FloatArray
    way: FloatArray | None = None
    paced: bool = False


def chain(first: FloatArray, moves: Sequence[Move], frames: int, lags: np.ndarray) -> FloatArray:
    """Superpose `moves` in order, from `first` `[J, 4]`, to rotations `[T, J, 4]`.

    lags: delay of each joint, `[J]`, seconds. No move may end before the previous one.
    """
    result = np.broadcast_to(first, (frames, *first.shape)).astype(np.float32)
    before = first
    for move in moves:
        a = max(0, int(np.floor((move.start + lags.min()) * FPS)))
        b = min(frames, int(np.ceil((move.end + lags.max()) * FPS)) + 1)
        if a < b:
            times = np.arange(a, b)[:, None] / FPS - lags
            along = (times - move.start) / max(move.end - move.start, 1e-3)
            turn = _turn(before, move, along.astype(np.float32))
            result[a:b] = multiply(result[a:b], turn)
        result[max(b, 0) :] = move.target
        before = move.target
    return continuous(np.asarray(normalize(result), np.float32))


def gaussian_smooth(rotations: FloatArray, frames: float = 1.4) -> FloatArray:
    """Gaussian filter of rotations `[T, J, 4]` over time, standard deviation `frames`."""
    reach = int(np.ceil(3 * frames))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    kernel /= kernel.sum()
    padded = np.concatenate([rotations[:1]] * reach + [rotations] + [rotations[-1:]] * reach)
    total = sum(k * padded[i : i + len(rotations)] for i, k in enumerate(kernel))
    return np.asarray(normalize(total), np.float32)


def _turn(before: FloatArray, move: Move, along: FloatArray) -> FloatArray:
    """Rotation relative to `before` `[J, 4]` at progress `along` `[n, J]` of `move`."""
    eased = ease(along)
    if move.way is None:
        vector = log(multiply(inverse(before), move.target))
        return exp(eased[..., None] * vector)
    way = move.way
    late = log(multiply(inverse(way[0]), before))
    early = log(multiply(inverse(way[-1]), move.target))
    course = _by_joint(way, along if move.paced else eased)
    bent = multiply(course, exp((1 - eased[..., None]) * late + eased[..., None] * early))
    return multiply(inverse(np.broadcast_to(before, bent.shape)), bent)


def _by_joint(way: FloatArray, along: FloatArray) -> FloatArray:
    """Sample `way` `[n, J, 4]` at progress `along` `[m, J]` (0..1) of each joint."""
    at = np.clip(along, 0, 1) * (len(way) - 1)
    low = np.minimum(at.astype(int), max(len(way) - 2, 0))
    high = np.minimum(low + 1, len(way) - 1)
    share = (at - low)[..., None].astype(np.float32)
    joints = np.arange(way.shape[1])
    return normalize(way[low, joints] * (1 - share) + way[high, joints] * share)
