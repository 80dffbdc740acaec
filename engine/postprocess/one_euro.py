"""One-Euro filter on upper-body and hand rotations (Casiez, Roussel and Vogel 2012).

Quantised codes cause jitter, most visible at rest. The filter smooths slow motion strongly and fast
motion little, so that strokes are not delayed. It optionally amplifies deviations from the mean
posture, because an uncertain network makes strokes too small. Legs are excluded: feet would slide.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np

from engine.config.serialize import require
from engine.motion.pose import FloatArray, PoseChunk
from engine.motion.rotation import exp, inverse, log, multiply, normalize
from engine.motion.skeleton import PART_JOINTS, BodyPart

JOINTS: Final = (*PART_JOINTS[BodyPart.UPPER], *PART_JOINTS[BodyPart.HANDS])
"""Joints that are filtered."""
MAX_AMPLITUDE_GAIN: Final = 1.0  # above it, joints would exceed their range of motion
_SPEED_CUTOFF_HZ: Final = 1.0  # low pass of the speed estimate
_POSTURE_CUTOFF_HZ: Final = 0.25  # slower motion counts as posture and is not amplified


@dataclass(frozen=True)
class OneEuroConfig:
    """One-Euro filter; names as in the paper. Lower values smooth more and delay more.

    Attributes:
        min_cutoff_hz: cutoff frequency at rest, Hz; above 0.
        beta: increase of the cutoff frequency with joint speed, Hz per rad/s.
        amplitude_gain: amplification of deviations from the posture of the last seconds, 0 to 1; 0
            disables it.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "cutoff_hz": "min_cutoff_hz",
        "lift": "beta",
        "emphasis": "amplitude_gain",
    }

    min_cutoff_hz: float = 3.0
    beta: float = 2.0
    amplitude_gain: float = 0.0

    def __post_init__(self) -> None:
        require(self.min_cutoff_hz > 0.0, "min_cutoff_hz", "above 0", self.min_cutoff_hz)
        require(self.beta >= 0.0, "beta", "0 or more", self.beta)
        fits = 0.0 <= self.amplitude_gain <= MAX_AMPLITUDE_GAIN
        require(fits, "amplitude_gain", f"0 to {MAX_AMPLITUDE_GAIN:g}", self.amplitude_gain)


def _rotated(rotations: FloatArray, vectors: FloatArray) -> FloatArray:
    return np.asarray(normalize(multiply(rotations, exp(vectors))), np.float32)


class OneEuroFilter:
    """Filter of one stream, with the state of the previous frame. frame_rate: frames/s."""

    def __init__(self, config: OneEuroConfig, frame_rate: float) -> None:
        self._config = config
        self._rate = frame_rate
        self._input: FloatArray | None = None  # previous frame before and after the filter
        self._smooth: FloatArray | None = None
        self._posture = np.zeros((len(JOINTS), 4), np.float32)
        self._speed = np.zeros((len(JOINTS), 1), np.float32)

    def _weight(self, cutoff_hz: np.ndarray | float) -> np.ndarray | float:
        """Weight of a new value in a first-order low pass."""
        return 1.0 / (1.0 + self._rate / (2.0 * math.pi * cutoff_hz))

    def next(self, rotations: FloatArray) -> FloatArray:
        """Filter one frame `[len(JOINTS), 4]`."""
        if self._input is None or self._smooth is None:
            self._input = self._smooth = self._posture = rotations
            return rotations
        angle = np.linalg.norm(log(multiply(inverse(self._input), rotations)), axis=-1)
        change = angle[:, None] * self._rate - self._speed
        self._speed = self._speed + self._weight(_SPEED_CUTOFF_HZ) * change
        weight = self._weight(self._config.min_cutoff_hz + self._config.beta * self._speed)
        step = log(multiply(inverse(self._smooth), rotations))
        self._input = rotations
        self._smooth = _rotated(self._smooth, weight * step)
        return self._amplified(self._smooth) if self._config.amplitude_gain else self._smooth

    def _amplified(self, smooth: FloatArray) -> FloatArray:
        deviation = log(multiply(inverse(self._posture), smooth))
        weight = self._weight(_POSTURE_CUTOFF_HZ)
        self._posture = _rotated(self._posture, weight * deviation)
        return _rotated(smooth, self._config.amplitude_gain * deviation)

    def apply(self, chunk: PoseChunk) -> PoseChunk:
        """Filter a chunk; chunks must be passed in order."""
        rotations = chunk.rotations.copy()
        joints = list(JOINTS)
        for frame in rotations:
            frame[joints] = self.next(frame[joints])
        return replace(chunk, rotations=rotations)
