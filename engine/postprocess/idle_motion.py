"""Nobody stands still: chest and head drift, more while one speaks, and one breathes.

That is chance, of which a network that learns a mean keeps nothing: its trunk stands like a post
below moving hands. What is drawn depends on the seed and the frame alone, and how much of it is
shown on the voice so far.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from engine.config.serialize import require
from engine.motion.pose import FrameFlag, PoseChunk
from engine.motion.skeleton import SMPLX_55
from engine.postprocess.counter_rng import Purpose, chance
from engine.postprocess.joint_offsets import turned

MOST: Final = 2.0
_SPINE: Final = tuple(SMPLX_55.index(name) for name in ("spine1", "spine2", "spine3"))
_SHARES: Final = np.array([[0.45], [0.35], [0.2]])  # of the chest's turn
HEAD: Final = (SMPLX_55.index("neck"), SMPLX_55.index("head"))
"""They share its turns evenly."""
_LEVEL: Final = 0.65  # of the chest's turn that the head makes good: eyes keep their horizon
_QUIET: Final = 0.2  # how much of it is left in silence
_WAKES_S, _CALMS_S = 0.4, 1.5
_BREATHS_HZ: Final = 0.26
_BREATH: Final = 0.017  # radians by which a breath lifts the chest
_UNEVEN: Final = 1.5  # radians of phase by which breaths come early or late
_GOALS_KEPT: Final = 16


@dataclass(frozen=True)
class SwayConfig:
    """amount: 1 is a lively speaker, 0 breathes only. speakers: amounts of some, by their names."""

    amount: float = 1.0
    speakers: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, amount in (("amount", self.amount), *self.speakers.items()):
            require(0.0 <= amount <= MOST, name, f"0 to {MOST:g}", amount)


class SplineNoise:
    """Slow chance `[n, C]`, most of it within -1..1: a cubic B-spline through drawn goals.

    every: frames from one goal to the next. It is smooth to its second derivative, and what it is
    in a frame depends on nothing but that frame.
    """

    def __init__(self, seed: int, purpose: Purpose, channels: int, every: float) -> None:
        self._seed, self._purpose, self._channels = seed, purpose, channels
        self._every = every
        self._goals: dict[int, np.ndarray] = {}  # drawn again whenever they are missing
        self._begin = float(chance(seed, purpose, -1).random())

    def at(self, frames: np.ndarray) -> np.ndarray:
        """Its values in `frames` `[n]`."""
        place = frames / self._every + self._begin
        first = np.floor(place).astype(int)
        u = (place - first)[:, None]
        weights = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
        if first[0] == first[-1]:  # as mostly in a hop; frames are in order
            goals = [self._goal(first[0] + i) for i in range(4)]
        else:
            goals = [np.stack([self._goal(k + i) for k in first]) for i in range(4)]
        return np.asarray(sum(w * g for w, g in zip(weights, goals, strict=True)) / 6)

    def _goal(self, number: int) -> np.ndarray:
        if number not in self._goals:
            if len(self._goals) >= _GOALS_KEPT:
                self._goals.clear()
            rng = chance(self._seed, self._purpose, number)
            self._goals[number] = np.clip(0.8 * rng.standard_normal(self._channels), -1.5, 1.5)
        return self._goals[number]


class Sway:
    """The sway of one stream; remembers how awake its voice is. frame_rate: frames a second.

    speaker: by name.
    """

    def __init__(self, config: SwayConfig, seed: int, frame_rate: float, speaker: str = "") -> None:
        def drift(purpose: Purpose, seconds: float, sizes: tuple[float, ...]) -> "_Sized":
            return _Sized(SplineNoise(seed, purpose, 3, seconds * frame_rate), np.array(sizes))

        # Pitch, yaw, roll in radians: a trunk leans and tilts more than it turns, a head tilts.
        self._chest = (
            drift(Purpose.CHEST, 1.4, (0.13, 0.04, 0.14)),
            drift(Purpose.CHEST_QUICK, 0.75, (0.04, 0.02, 0.04)),
        )
        self._head = (
            drift(Purpose.HEAD, 1.6, (0.07, 0.08, 0.19)),
            drift(Purpose.HEAD_QUICK, 0.6, (0.06, 0.07, 0.08)),
        )
        self._breath = SplineNoise(seed, Purpose.BREATH, 1, 6.0 * frame_rate)
        self._amount = config.speakers.get(speaker, config.amount)
        self._rate = frame_rate
        self._awake = 0.0

    def _wake(self, flags: tuple[FrameFlag, ...], count: int) -> np.ndarray:
        """How much a voice is heard `[n]`, 0..1, as it swells and fades."""
        found = []
        for flag in flags or (FrameFlag.NONE,) * count:
            voiced = float(not flag & FrameFlag.IDLE)
            seconds = _WAKES_S if voiced > self._awake else _CALMS_S
            self._awake += (voiced - self._awake) / (1.0 + seconds * self._rate)
            found.append(self._awake)
        return np.array(found)

    def _breathing(self, frames: np.ndarray) -> np.ndarray:
        """How far the chest is lifted `[n]`, -1..1; nobody breathes like a clock."""
        turns = frames * (2 * np.pi * _BREATHS_HZ / self._rate)
        return np.asarray(np.sin(turns + _UNEVEN * self._breath.at(frames)[:, 0]))

    def over(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk with spine, neck and head turned; chunks come in order."""
        if not len(chunk):
            return chunk
        frames = chunk.first + np.arange(len(chunk))
        awake = self._wake(chunk.flags, len(chunk))
        size = (self._amount * (_QUIET + (1.0 - _QUIET) * awake))[:, None]
        chest, head = (
            size * sum(each.at(frames) for each in drifts) for drifts in (self._chest, self._head)
        )
        chest[:, 0] -= _BREATH * self._breathing(frames)
        rotations = chunk.rotations.copy()
        turned(rotations, _SPINE, _SHARES * chest[:, None], outside=True)
        turned(rotations, HEAD, 0.5 * (head - _LEVEL * chest)[:, None])
        return replace(chunk, rotations=rotations)


@dataclass(frozen=True)
class _Sized:
    """A drift in radians: sizes `[C]`."""

    drift: SplineNoise
    sizes: np.ndarray

    def at(self, frames: np.ndarray) -> np.ndarray:
        return np.asarray(self.drift.at(frames) * self.sizes)
