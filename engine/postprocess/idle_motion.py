"""Procedural idle motion: sway of chest and head, stronger while speaking, and breathing.

A regression model averages such random motion away, which leaves a rigid trunk below moving hands.
A draw depends only on seed and frame; the amplitude depends on the voice activity so far.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from engine.config.serialize import require
from engine.motion.pose import FrameFlag, PoseChunk
from engine.motion.skeleton import SMPLX_55
from engine.postprocess.counter_rng import RandomStream, counter_rng
from engine.postprocess.joint_offsets import rotate_joints

MAX_AMOUNT: Final = 2.0
_SPINE: Final = tuple(SMPLX_55.index(name) for name in ("spine1", "spine2", "spine3"))
_SPINE_SHARES: Final = np.array([[0.45], [0.35], [0.2]])  # of the chest's rotation
HEAD: Final = (SMPLX_55.index("neck"), SMPLX_55.index("head"))
"""Neck and head, which share a rotation of the head evenly."""
_HEAD_COMPENSATION: Final = 0.65  # of the chest's rotation; keeps the eyes level
_SILENT_SHARE: Final = 0.2  # of the amplitude, in silence
_ATTACK_S, _RELEASE_S = 0.4, 1.5  # of the amplitude, when a voice starts and stops
_BREATH_HZ: Final = 0.26
_BREATH_RAD: Final = 0.017  # lift of the chest by a breath
_BREATH_PHASE_RAD: Final = 1.5  # irregularity of the breaths
_CACHED_KNOTS: Final = 16


@dataclass(frozen=True)
class IdleConfig:
    """Idle motion of chest and head.

    Attributes:
        amount: amplitude, 0 to 2; 1 is a lively speaker, 0 leaves breathing only.
        speakers: amplitude of single speakers by name, instead of `amount`.

    """

    amount: float = 1.0
    speakers: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, amount in (("amount", self.amount), *self.speakers.items()):
            require(0.0 <= amount <= MAX_AMOUNT, name, f"0 to {MAX_AMOUNT:g}", amount)


class SplineNoise:
    """Smooth noise `[n, C]`, mostly within -1..1: a cubic B-spline with random knots.

    It is continuous to its second derivative. Its value depends only on the frame.

    spacing: distance of the knots, frames.
    """

    def __init__(self, seed: int, stream: RandomStream, channels: int, spacing: float) -> None:
        self._seed, self._stream, self._channels = seed, stream, channels
        self._spacing = spacing
        self._knots: dict[int, np.ndarray] = {}  # a cache; missing knots are drawn again
        self._offset = float(counter_rng(seed, stream, -1).random())

    def at(self, frames: np.ndarray) -> np.ndarray:
        """Values at `frames` `[n]`, which are in ascending order."""
        place = frames / self._spacing + self._offset
        first = np.floor(place).astype(int)
        u = (place - first)[:, None]
        weights = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
        if first[0] == first[-1]:  # the usual case within a hop
            knots = [self._knot(first[0] + i) for i in range(4)]
        else:
            knots = [np.stack([self._knot(k + i) for k in first]) for i in range(4)]
        return np.asarray(sum(w * k for w, k in zip(weights, knots, strict=True)) / 6)

    def _knot(self, index: int) -> np.ndarray:
        if index not in self._knots:
            if len(self._knots) >= _CACHED_KNOTS:
                self._knots.clear()
            rng = counter_rng(self._seed, self._stream, index)
            self._knots[index] = np.clip(0.8 * rng.standard_normal(self._channels), -1.5, 1.5)
        return self._knots[index]


@dataclass(frozen=True)
class ScaledNoise:
    """Noise with the amplitudes `scale` `[C]`, radians."""

    noise: SplineNoise
    scale: np.ndarray

    def at(self, frames: np.ndarray) -> np.ndarray:
        """Values `[n, C]` at `frames` `[n]`."""
        return np.asarray(self.noise.at(frames) * self.scale)


class IdleMotion:
    """Idle motion of one stream, with the smoothed voice activity as state.

    frame_rate: frames/s. speaker: name of the stream's speaker.
    """

    def __init__(self, config: IdleConfig, seed: int, frame_rate: float, speaker: str = "") -> None:
        def noise(stream: RandomStream, spacing_s: float, *scale: float) -> ScaledNoise:
            spline = SplineNoise(seed, stream, 3, spacing_s * frame_rate)
            return ScaledNoise(spline, np.array(scale))

        # Pitch, yaw and roll in radians: a trunk leans and tilts more than it turns.
        self._chest = (
            noise(RandomStream.CHEST, 1.4, 0.13, 0.04, 0.14),
            noise(RandomStream.CHEST_FAST, 0.75, 0.04, 0.02, 0.04),
        )
        self._head = (
            noise(RandomStream.HEAD, 1.6, 0.07, 0.08, 0.19),
            noise(RandomStream.HEAD_FAST, 0.6, 0.06, 0.07, 0.08),
        )
        self._breath = SplineNoise(seed, RandomStream.BREATH, 1, 6.0 * frame_rate)
        self._amount = config.speakers.get(speaker, config.amount)
        self._rate = frame_rate
        self._activity = 0.0

    def _activities(self, flags: tuple[FrameFlag, ...], count: int) -> np.ndarray:
        """Smoothed voice activity `[n]`, 0..1."""
        found = []
        for flag in flags or (FrameFlag.NONE,) * count:
            voiced = float(not flag & FrameFlag.IDLE)
            seconds = _ATTACK_S if voiced > self._activity else _RELEASE_S
            self._activity += (voiced - self._activity) / (1.0 + seconds * self._rate)
            found.append(self._activity)
        return np.array(found)

    def _breathing(self, frames: np.ndarray) -> np.ndarray:
        """Lift of the chest `[n]`, -1..1; slightly irregular."""
        phase = frames * (2 * np.pi * _BREATH_HZ / self._rate)
        return np.asarray(np.sin(phase + _BREATH_PHASE_RAD * self._breath.at(frames)[:, 0]))

    def apply(self, chunk: PoseChunk) -> PoseChunk:
        """Rotate spine, neck and head; chunks must be passed in order."""
        if not len(chunk):
            return chunk
        frames = chunk.first + np.arange(len(chunk))
        activity = self._activities(chunk.flags, len(chunk))
        size = (self._amount * (_SILENT_SHARE + (1.0 - _SILENT_SHARE) * activity))[:, None]
        chest, head = (
            size * sum(each.at(frames) for each in noises) for noises in (self._chest, self._head)
        )
        chest[:, 0] -= _BREATH_RAD * self._breathing(frames)
        rotations = chunk.rotations.copy()
        rotate_joints(rotations, _SPINE, _SPINE_SHARES * chest[:, None], parent_axes=True)
        rotate_joints(rotations, HEAD, 0.5 * (head - _HEAD_COMPENSATION * chest)[:, None])
        return replace(chunk, rotations=rotations)
