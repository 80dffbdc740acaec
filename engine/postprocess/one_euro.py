"""Less trembling: the 1-euro filter over the joints of upper body and hands, frame by frame.

Codes are steps, and what steps from code to code trembles most when it hardly moves. The filter of
Casiez, Roussel and Vogel (2012) smooths slow turns much and quick ones hardly, so that a stroke is
not late. A network that is unsure of a stroke makes it small; what of it is left can be enlarged.
Legs stay as they are: feet would slide.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engine.config.serialize import require
from engine.motion.pose import FloatArray, PoseChunk
from engine.motion.rotation import exp, inverse, log, multiply, normalize
from engine.motion.skeleton import PART_JOINTS, BodyPart

JOINTS: Final = (*PART_JOINTS[BodyPart.UPPER], *PART_JOINTS[BodyPart.HANDS])
"""What is steadied."""
MOST_EMPHASIS: Final = 1.0
"""More would bend joints further than they go."""
_SPEED_CUTOFF_HZ: Final = 1.0  # of the speed that the filter goes by
_POSTURE_HZ: Final = 0.25  # what is slower is posture, and never enlarged


@dataclass(frozen=True)
class SteadyConfig:
    """cutoff_hz: what is faster is taken from joints at rest; lift: by how many Hz more for each
    rad/s of a joint. The lower, the calmer and the later. emphasis: by what share turns away from
    the posture of the last seconds are enlarged.
    """

    cutoff_hz: float = 3.0
    lift: float = 2.0
    emphasis: float = 0.0

    def __post_init__(self) -> None:
        require(self.cutoff_hz > 0.0, "cutoff_hz", "above 0", self.cutoff_hz)
        require(self.lift >= 0.0, "lift", "0 or more", self.lift)
        fits = 0.0 <= self.emphasis <= MOST_EMPHASIS
        require(fits, "emphasis", f"0 to {MOST_EMPHASIS:g}", self.emphasis)


def _turned(rotations: FloatArray, vectors: FloatArray) -> FloatArray:
    return np.asarray(normalize(multiply(rotations, exp(vectors))), np.float32)


class OneEuroFilter:
    """The filter of one stream; remembers a frame. frame_rate: frames a second."""

    def __init__(self, config: SteadyConfig, frame_rate: float) -> None:
        self._config = config
        self._rate = frame_rate
        self._raw: FloatArray | None = None  # the last frame as it came, and as it went
        self._calm: FloatArray | None = None
        self._posture = np.zeros((len(JOINTS), 4), np.float32)
        self._speed = np.zeros((len(JOINTS), 1), np.float32)

    def _weight(self, cutoff_hz: np.ndarray | float) -> np.ndarray | float:
        """How much of a new value is taken: a low pass of first order."""
        return 1.0 / (1.0 + self._rate / (2.0 * math.pi * cutoff_hz))

    def next(self, rotations: FloatArray) -> FloatArray:
        """The frame `[len(JOINTS), 4]` that goes out for the one that came."""
        if self._raw is None or self._calm is None:
            self._raw = self._calm = self._posture = rotations
            return rotations
        turned = np.linalg.norm(log(multiply(inverse(self._raw), rotations)), axis=-1)
        moved = turned[:, None] * self._rate - self._speed
        self._speed = self._speed + self._weight(_SPEED_CUTOFF_HZ) * moved
        share = self._weight(self._config.cutoff_hz + self._config.lift * self._speed)
        step = log(multiply(inverse(self._calm), rotations))
        self._raw = rotations
        self._calm = _turned(self._calm, share * step)
        return self._emphatic(self._calm) if self._config.emphasis else self._calm

    def _emphatic(self, calm: FloatArray) -> FloatArray:
        away = log(multiply(inverse(self._posture), calm))
        self._posture = _turned(self._posture, self._weight(_POSTURE_HZ) * away)
        return _turned(calm, self._config.emphasis * away)

    def over(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk with its upper body and hands steadied; chunks come in order."""
        rotations = chunk.rotations.copy()
        joints = list(JOINTS)
        for frame in rotations:
            frame[joints] = self.next(frame[joints])
        return replace(chunk, rotations=rotations)
