"""Causal audio features at the frame rate: the same code for training and live.

Frame k depends only on samples before `clock.first_sample(k + 1)`, so the features add no
look-ahead. Every frame is computed by the same numpy calls on the same shapes for any block size;
therefore any split of the audio gives the same bits. All values lie roughly in -1..2 by fixed
scales, and digital silence is the fixed vector `FeatureExtractor.silence`.

The channels of a frame, in order (`FeatureConfig.groups`):

    mel_early, mel_late: log-mel bands, mean of the frame's first and second half.
    onset: spectral flux (rising part only), its maximum and its mean.
    level: root mean square and peak, both logarithmic.
    pitch: periodicity 0..1, and periodicity times log2(f0 / 155 Hz).

"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.audio.block import to_float
from engine.clock import FrameClock
from engine.config.features import FeatureConfig
from engine.errors import ConfigError
from engine.events import EventCounter

_PIECE: Final = 16000  # samples processed together: bounds the memory for a long clip
_CEILING: Final = 2.0  # upper bound of levels, so that very loud samples stay finite
_ONSET_GAIN: Final = 8.0  # brings the flux of ordinary speech to about 0..2
_PITCH_RATE: Final = 8000  # enough to place a pitch of 400 Hz
_PITCH_POINTS: Final = 512  # 64 ms: two periods of the lowest pitch and more
_PITCH_LOW_HZ: Final = 60
_PITCH_HIGH_HZ: Final = 400
_PITCH_MIDDLE_HZ: Final = 155.0  # geometric middle of the range
_OCTAVE_GUARD: Final = 0.85  # the shortest period nearly as good as the best one wins


@dataclass(frozen=True)
class FeatureState:
    """State of a FeatureExtractor between two calls."""

    buffer: NDArray[np.float32]
    first: int  # index of buffer[0] in the stream, negative before the beginning
    frame: int
    bands: NDArray[np.float64]


class FeatureExtractor:
    """Samples in, features out: the front end of this project's own models.

    Raises ConfigError for a config that does not fit the clock.
    """

    delay = 0

    def __init__(
        self, config: FeatureConfig, clock: FrameClock, events: EventCounter | None = None
    ) -> None:
        self.config = config
        self.clock = clock
        self.width = config.width
        self._events = events
        self._mel = mel_weights(config, clock.sample_rate)
        self._hann = _hann(config.window)
        self._floor = 10.0 ** (config.floor_db / 10)
        self._frame_span = -(-clock.sample_rate // clock.frame_rate)
        self._pitch = _Pitch(clock.sample_rate, self._floor)
        self._windowed = np.zeros((config.positions, config.window))
        self._levels = np.zeros((config.positions + 1, config.bands))
        self._history = max(config.window + self._frame_span, self._pitch.window)
        self.reset()
        self.silence = self._silence()

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a stream."""
        self._buffer = np.zeros(self._history, np.float32)
        self._first = -self._history
        self._frame = 0
        self._bands = np.full(self.config.bands, -1.0)

    def finish(self) -> NDArray[np.float32]:
        """Nothing: only an incomplete frame is left."""
        return np.zeros((0, self.width), np.float32)

    def frame_start(self, frame: int) -> int:
        """Feature vectors before frame `frame`."""
        return frame

    def window_end(self, frame: int) -> int:
        """Feature vectors before the end of a window whose last frame is `frame - 1`."""
        return frame

    def window_length(self, frames: int) -> int:
        """Feature vectors in a window of `frames` frames."""
        return frames

    def snapshot(self) -> FeatureState:
        """The state after what was fed so far, independent of what comes later."""
        return FeatureState(self._buffer.copy(), self._first, self._frame, self._bands.copy())

    def restore(self, state: FeatureState) -> None:
        """Go on from a snapshot of an extractor with the same config and clock."""
        self._buffer = state.buffer.copy()
        self._first, self._frame = state.first, state.frame
        self._bands = state.bands.copy()

    def feed(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Take samples `[S]`, return the features `[n, F]` of the frames that are now complete.

        Samples are cleaned by `to_float`, which raises ShapeError for anything but mono audio.
        """
        clean = to_float(samples, self._events)
        rows: list[NDArray[np.float32]] = []
        for start in range(0, clean.size, _PIECE):
            self._append(clean[start : start + _PIECE])
            received = self._first + self._buffer.size
            while self.clock.first_sample(self._frame + 1) <= received:
                rows.append(self._next_frame())
        return np.stack(rows) if rows else np.zeros((0, self.width), np.float32)

    def _append(self, samples: NDArray[np.float32]) -> None:
        keep = self.clock.first_sample(self._frame) - self._history - self._first
        self._buffer = np.concatenate([self._buffer[max(keep, 0) :], samples])
        self._first += max(keep, 0)

    def _position(self, frame: int, part: int) -> int:
        """End, in samples, of the analysis window of the frame's `part`."""
        parts = self.config.positions
        return (
            (parts * frame + part + 1) * self.clock.sample_rate // (parts * self.clock.frame_rate)
        )

    def _next_frame(self) -> NDArray[np.float32]:
        ends = [self._position(self._frame, p) - self._first for p in range(self.config.positions)]
        self._frame += 1
        return self._features(self._buffer, ends)

    def _features(self, buffer: NDArray[np.float32], ends: list[int]) -> NDArray[np.float32]:
        levels = self._log_mel(buffer, ends)
        rise = levels[1:] - levels[:-1]
        flux = np.maximum(rise, 0.0).mean(axis=1) * _ONSET_GAIN
        half = 1 + self.config.positions // 2
        sound = buffer[ends[-1] - self._frame_span : ends[-1]].astype(np.float64)
        loudest = float(np.abs(sound).max())
        power = np.array([np.square(sound).mean() * 2, loudest * loudest])
        self._bands = levels[-1].copy()
        vector = np.concatenate(
            [
                levels[1:half].mean(axis=0),
                levels[half:].mean(axis=0),
                [flux.max(), flux.mean()],
                self._log(power),
                self._pitch(buffer[ends[-1] - self._pitch.window : ends[-1]]),
            ]
        )
        return np.minimum(vector, _CEILING).astype(np.float32)

    def _log_mel(self, buffer: NDArray[np.float32], ends: list[int]) -> NDArray[np.float64]:
        """`[positions + 1, bands]`: the last levels of the frame before, then this frame's."""
        window = self.config.window
        for row, end in zip(self._windowed, ends, strict=True):
            np.multiply(buffer[end - window : end], self._hann, out=row)
        spectrum = np.fft.rfft(self._windowed)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        self._levels[0] = self._bands
        self._levels[1:] = self._log(power @ self._mel)
        return self._levels

    def _log(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """Power to -1 (the floor and below) .. 1 (a full-scale sine)."""
        decibels = 10.0 * np.log10(power + self._floor)
        return 1.0 - 2.0 / self.config.floor_db * decibels

    def _silence(self) -> NDArray[np.float32]:
        quiet = np.zeros(2 * self._history, np.float32)
        ends = [self._history + self._position(0, p) for p in range(self.config.positions)]
        vector = self._features(quiet, ends)
        self.reset()
        return vector


class _Pitch:
    """Periodicity and pitch of the last 64 ms by normalised autocorrelation."""

    def __init__(self, sample_rate: int, floor: float) -> None:
        self._step = max(1, sample_rate // _PITCH_RATE)
        self._rate = sample_rate / self._step
        self.window = _PITCH_POINTS * self._step
        self._shortest = int(self._rate / _PITCH_HIGH_HZ)
        self._longest = int(self._rate / _PITCH_LOW_HZ)
        self._quiet = floor * _PITCH_POINTS

    def __call__(self, samples: NDArray[np.float32]) -> tuple[float, float]:
        correlation = self._correlation(samples)
        inner = correlation[1:-1]
        best = inner.max()
        peaks = (inner >= correlation[:-2]) & (inner > correlation[2:])
        good = peaks & (inner > _OCTAVE_GUARD * best)
        at = int(good.argmax() if good.any() else inner.argmax())
        before, middle, after = correlation[at : at + 3]
        bend = before - 2 * middle + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
        period = self._shortest + at + min(max(shift, -0.5), 0.5)
        strength = min(max(float(middle), 0.0), 1.0)
        return strength, strength * float(np.log2(self._rate / period / _PITCH_MIDDLE_HZ))

    def _correlation(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Normalised autocorrelation at the lags from one below the shortest to one above."""
        sound = samples.reshape(-1, self._step).astype(np.float64).mean(axis=1)
        sound -= sound.mean()
        spectrum = np.fft.rfft(sound, 2 * _PITCH_POINTS)
        lags = slice(self._shortest - 1, self._longest + 2)
        product = np.fft.irfft(np.square(spectrum.real) + np.square(spectrum.imag))[lags]
        energy = np.concatenate([[0.0], np.cumsum(np.square(sound))])
        head = energy[::-1][lags]
        tail = energy[-1] - energy[lags]
        return product / (np.sqrt(np.maximum(head * tail, 0.0)) + self._quiet)


def mel_weights(config: FeatureConfig, sample_rate: int) -> NDArray[np.float64]:
    """Triangles `[window // 2 + 1, bands]`, evenly spaced on the mel scale 2595 log10(1 + f / 700).

    Scaled so that a full-scale sine under the Hann window has a power of about 1.
    Raises ConfigError where the bands do not fit below half the sample rate or hold no bin.
    """
    if not 0 <= config.low_hz < config.high_hz <= sample_rate / 2:
        raise ConfigError(
            f"mel bands from {config.low_hz:g} to {config.high_hz:g} Hz do not fit a sample rate "
            f"of {sample_rate} Hz; set high_hz to at most {sample_rate // 2}"
        )
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (config.low_hz, config.high_hz))
    edges = 700 * (10 ** (np.linspace(low, high, config.bands + 2) / 2595) - 1)
    bins = np.arange(config.window // 2 + 1)[:, None] * sample_rate / config.window
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(np.minimum(rising, falling), 0.0)
    if not weights.any(axis=0).all():
        raise ConfigError(
            f"{config.bands} mel bands are too many for a window of {config.window} samples at "
            f"{sample_rate} Hz: some hold no frequency bin; use fewer bands or a longer window"
        )
    return np.asarray(weights * (2 / _hann(config.window).sum()) ** 2, np.float64)


def _hann(points: int) -> NDArray[np.float64]:
    """Periodic Hann window `[points]`."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(points) / points), np.float64)
