"""Resampler: streaming sample-rate conversion by soxr.

soxr gives the same values for any split of its input (a test checks it) but holds back the samples
that its filter still needs; `held_s` is that delay at any moment.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.audio.block import to_float
from engine.errors import ConfigError
from engine.events import EventCounter

LEAST_RATE: Final = 1000
MOST_RATE: Final = 768000
_PROBE_STEP_S: Final = 0.01


class Quality(StrEnum):
    """Trade-off of a resampler, measured from 48 to 16 kHz; both are flat to 7.4 kHz.

    soxr's usual engine works in batches. Its engine for variable rates does not, so that its delay
    is constant and adds no jitter to the time of a block. Its filter shifts the audio by a constant
    0.1 ms.
    """

    LIVE = "live"  # delay 12.5 ms
    FILE = "file"  # delay 6..37 ms; least CPU time


class Resampler:
    """Takes samples at `in_rate`, returns samples at `out_rate`; equal rates pass unchanged.

    Raises ConfigError for rates outside 1000..768000 Hz.
    """

    def __init__(
        self,
        in_rate: int,
        out_rate: int,
        *,
        quality: Quality = Quality.LIVE,
        events: EventCounter | None = None,
    ) -> None:
        for rate in (in_rate, out_rate):
            if not LEAST_RATE <= rate <= MOST_RATE:
                raise ConfigError(
                    f"expected a sample rate of {LEAST_RATE}..{MOST_RATE} Hz, got {rate}; "
                    "speech is usually 16000, 24000, 44100 or 48000"
                )
        self.in_rate, self.out_rate = in_rate, out_rate
        self._quality = quality
        self._events = events
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a stream."""
        self._taken = 0
        self._given = 0
        self._stream = None
        if self.in_rate != self.out_rate:
            import soxr

            live = self._quality is Quality.LIVE
            self._stream = soxr.ResampleStream(
                self.in_rate, self.out_rate, 1, dtype="float32", quality="HQ", vr=live
            )

    @property
    def held_s(self) -> float:
        """Seconds of audio taken and not returned yet; the delay of the next samples."""
        return max(0.0, self._taken / self.in_rate - self._given / self.out_rate)

    @property
    def delay_s(self) -> float:
        """The largest `held_s` after a block of up to 10 ms: the latency to declare."""
        return longest_hold(self.in_rate, self.out_rate, self._quality)

    def feed(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Take samples `[S]` (cleaned by `to_float`), return those that are ready, `[n]`."""
        clean = to_float(samples, self._events)
        return self._run(clean, last=False)

    def flush(self) -> NDArray[np.float32]:
        """End the stream: return the rest, then reset."""
        rest = self._run(np.zeros(0, np.float32), last=True)
        self.reset()
        return rest

    def _run(self, samples: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        self._taken += samples.size
        if self._stream is None:
            given = samples
        else:
            given = np.asarray(self._stream.resample_chunk(samples, last=last), np.float32)
        self._given += given.size
        return given


@lru_cache(maxsize=32)
def longest_hold(in_rate: int, out_rate: int, quality: Quality) -> float:
    """Largest delay, in seconds, of a Resampler fed with 10 ms blocks, measured with silence.

    Batches repeat many times per second, so two seconds show the maximum.
    """
    if in_rate == out_rate:
        return 0.0
    resampler = Resampler(in_rate, out_rate, quality=quality)
    block = np.zeros(max(1, round(in_rate * _PROBE_STEP_S)), np.float32)
    worst = 0.0
    for _ in range(round(2 / _PROBE_STEP_S)):
        resampler.feed(block)
        worst = max(worst, resampler.held_s)
    return worst
