"""Downmix of several channels to one without loss of speech.

The mean of all channels is right only if every channel has the speech and none is inverted. Every
10 ms is decided by the past and itself: a channel that was silent for long is left out, one that
cancels the others is inverted. Any split of the input gives the same output.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.block import to_float
from engine.events import EventCounter

_STEP_S: Final = 0.01
_BAND_HZ: Final = 4000  # channels are compared at this rate: hiss and hum do not count
_MEMORY: Final = math.exp(-_STEP_S / 0.5)
_LEVEL_MEMORY: Final = math.exp(-_STEP_S / 5)  # long: the mix must not change from word to word
_LEAST_POWER: Final = 1e-8  # below this power no decision is made
_SILENT: Final = 0.01  # of the loudest channel's power: 20 dB below it
_CANCELLED: Final = 0.2  # share of the power that independent channels leave in their mean
_APPROACH: Final = 0.3  # share of the way to new weights per step: no click
_JUDGED_STEPS: Final = 500  # steps with audio until a silent channel is noted
_NO_SOUND: Final = 1e-4


class Downmix:
    """Takes audio `[n, C]` at `rate`, returns mono `[m]`; `flush` returns the last incomplete step.

    Faults of the channels are noted in `events`, each once.
    """

    def __init__(self, rate: int, channels: int, events: EventCounter) -> None:
        self._events = events
        self._channels = channels
        self._step = max(3, round(rate * _STEP_S))
        self._group = max(1, min(rate // _BAND_HZ, self._step // 3))
        self._rest: NDArray[np.float32] = np.zeros((0, channels), np.float32)
        self._signs = np.ones(channels)
        self._weights = np.full(channels, 1 / channels, np.float32)
        self._power = np.zeros((channels, channels))
        self._levels = np.zeros(channels)
        self._total = np.zeros(channels)
        self._sounding = 0

    def feed(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take audio, return the steps that are complete."""
        clean = to_float(sound.reshape(-1), self._events).reshape(-1, self._channels)
        if self._channels == 1:
            return clean[:, 0]
        clean = np.concatenate([self._rest, clean])
        whole = len(clean) // self._step * self._step
        self._rest = clean[whole:].copy()
        steps = clean[:whole].reshape(-1, self._step, self._channels)
        mixed = [
            self._mix(step, power) for step, power in zip(steps, self._powers(steps), strict=True)
        ]
        return np.concatenate([np.zeros(0, np.float32), *mixed])

    def flush(self) -> NDArray[np.float32]:
        """End the audio: the rest, by the present weights."""
        if self._channels == 1:
            return np.zeros(0, np.float32)
        rest, self._rest = self._rest, self._rest[:0]
        if 0 < self._sounding < _JUDGED_STEPS:
            self._note_silent()
        return np.asarray(rest @ self._weights, np.float32)

    def _powers(self, steps: NDArray[np.float32]) -> NDArray[np.float64]:
        """Covariance `[s, C, C]` of each step's channels around 1 kHz.

        Without offset and mains hum, which would hide cancelling speech.
        """
        groups = self._step // self._group
        grouped = steps[:, : groups * self._group].astype(np.float64)
        shape = (len(steps), groups, self._group, self._channels)
        band = np.diff(grouped.reshape(shape).mean(axis=2), n=2, axis=1)
        return np.asarray(np.swapaxes(band, 1, 2) @ band)

    def _mix(self, step: NDArray[np.float32], power: NDArray[np.float64]) -> NDArray[np.float32]:
        self._power = self._power * _MEMORY + power
        self._levels = self._levels * _LEVEL_MEMORY + power.diagonal()
        before = self._weights
        if power.diagonal().max() > _LEAST_POWER:
            self._sounding += 1
            self._total += power.diagonal()
            self._weights = self._next_weights()
            if self._sounding == 1:
                before = self._weights
            if self._sounding == _JUDGED_STEPS:
                self._note_silent()
        if before is self._weights:
            return np.asarray(step @ self._weights, np.float32)
        ramp = np.linspace(0, 1, len(step), dtype=np.float32)[:, None]
        return np.asarray((step * (before + (self._weights - before) * ramp)).sum(1), np.float32)

    def _next_weights(self) -> NDArray[np.float32]:
        active = self._levels > _SILENT * self._levels.max()
        if self._left(self._signs * active) < _CANCELLED * self._power.diagonal()[active].sum():
            self._invert(active)
        wanted = (self._signs * active / active.sum()).astype(np.float32)
        missing = wanted - self._weights
        if not missing.any():
            return self._weights
        if self._sounding == 1 or np.abs(missing).max() < 1e-3:
            return wanted
        return np.asarray(self._weights + _APPROACH * missing, np.float32)

    def _left(self, signs: NDArray[np.float64]) -> float:
        """Power of the sum of the channels with these signs."""
        return float(signs @ self._power @ signs)

    def _invert(self, active: NDArray[np.bool_]) -> None:
        """Choose signs by the loudest channel, if that raises the power."""
        loudest = self._power.diagonal().argmax()
        signs = np.where(self._power[loudest] < 0, -1.0, 1.0)
        if self._left(signs * active) <= self._left(self._signs * active):
            return
        self._signs = np.where(active, signs, self._signs)
        self._events.note(
            "channels of the sound cancel each other (one is inverted, as by a balanced plug in a "
            "stereo socket); it was inverted back for the mix"
        )

    def _note_silent(self) -> None:
        silent = np.flatnonzero(self._total < _NO_SOUND * self._total.max()) + 1
        if len(silent):
            names = ", ".join(map(str, silent))
            self._events.note(
                f"channel {names} of {self._channels} is silent; the others keep their full level"
            )
