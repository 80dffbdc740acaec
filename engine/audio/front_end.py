"""Front ends: from samples to what a network hears, entry by entry, and where frames lie in it.

An entry is a frame's features or one sample with its channels. Entries come in any split of the
sound with the same bits. Knows nothing of networks; `FeatureExtractor` is the front end of our own.
"""

from collections import deque
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.audio.block import to_float
from engine.audio.features import FeatureExtractor
from engine.audio.onsets import OnsetPicker
from engine.clock import FrameClock
from engine.config.features import FeatureConfig
from engine.config.model import FrontEnd
from engine.events import EventCounter

_AMPLITUDE_SPAN: Final = 1024  # samples, a power of two
WAVE_STEP: Final = 30
"""Live windows of samples lie on a grid of so many (1.9 ms), that of their encoder's first blocks,
whose outputs can thus be used again by the next window; see `engine.kernels.encoder_cache`. The
encoder's own frames are 540 samples long and stray from ours by 27 ms in a window."""


class FrontEndStream(Protocol):
    """Samples in, entries `[n, width]` out.

    silence `[width]`: an entry of exact silence. delay: samples after its own that an entry waits
    for, in all.
    """

    width: int
    delay: int

    @property
    def silence(self) -> NDArray[np.float32]:
        """An entry of silence."""
        ...

    def feed(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Take mono samples `[S]`, give the entries that are now complete."""
        ...

    def finish(self) -> NDArray[np.float32]:
        """The sound is over: the entries that waited for more."""
        ...

    def frame_start(self, frame: int) -> int:
        """Entries before frame `frame` begins."""
        ...

    def window_end(self, frame: int) -> int:
        """Entries before the end of a window that ends before frame `frame`: `end`, or a few less
        that wait for the next window.
        """
        ...

    def window_length(self, frames: int) -> int:
        """Entries in a window of `frames` frames, the same wherever it lies."""
        ...

    def reset(self) -> None:
        """Forget everything."""
        ...

    def snapshot(self) -> Any:
        """The state, independent of what comes later."""
        ...

    def restore(self, state: Any) -> None:
        """Go on from a snapshot."""
        ...


def build_front_end(
    kind: FrontEnd,
    features: FeatureConfig,
    clock: FrameClock,
    *,
    truncated: bool = False,
    events: EventCounter | None = None,
) -> FrontEndStream:
    """The front end of a bundle; truncated: see `engine.generate.schedule.FileRules`."""
    if kind is FrontEnd.FEATURES:
        return FeatureExtractor(features, clock, events)
    if kind is FrontEnd.WAVE:
        return WaveFrontEnd(SampleGrid(clock, truncated=truncated, step=WAVE_STEP), events)
    return AmplitudeOnsetFrontEnd(SampleGrid(clock, truncated=truncated), events)


class SampleGrid:
    """Where frames lie among samples.

    truncated: every frame is `sample_rate // frame_rate` samples long, as in the published
    programs, instead of where the clock says. step: live windows end with multiples of so many.
    """

    def __init__(self, clock: FrameClock, *, truncated: bool, step: int = 1) -> None:
        self._clock = clock
        self._truncated = truncated
        self._step = step
        self._whole = clock.sample_rate // clock.frame_rate

    def frame_start(self, frame: int) -> int:
        """Samples before frame `frame` begins."""
        return frame * self._whole if self._truncated else self._clock.first_sample(frame)

    def window_end(self, frame: int) -> int:
        """Samples before a window ends that ends before frame `frame`."""
        end = self.frame_start(frame)
        return end if self._truncated else end // self._step * self._step

    def window_length(self, frames: int) -> int:
        """Samples in a window of `frames` frames."""
        return frames * self._whole


class WaveFrontEnd:
    """The samples themselves, one channel."""

    width = 1
    delay = 0

    def __init__(self, grid: SampleGrid, events: EventCounter | None = None) -> None:
        self.silence = np.zeros(1, np.float32)
        self.frame_start, self.window_end = grid.frame_start, grid.window_end
        self.window_length = grid.window_length
        self._events = events

    def feed(self, samples: ArrayLike) -> NDArray[np.float32]:
        """`[S, 1]`."""
        return to_float(samples, self._events)[:, None]

    def finish(self) -> NDArray[np.float32]:
        """Nothing waits."""
        return np.zeros((0, 1), np.float32)

    def reset(self) -> None:
        """Nothing is remembered."""

    def snapshot(self) -> None:
        """Nothing is remembered."""

    def restore(self, state: None) -> None:
        """Nothing is remembered."""


class AmplitudeOnsetFrontEnd:
    """Two channels a sample: amplitude and onset impulses (EMAGE section 4.3, the code of 2024).

    Amplitude is the largest |x| of this and the next 1023 samples; at the end of the sound its last
    value is repeated. Onsets are ones where `OnsetPicker` finds them. The published program wrote
    the frame numbers of its onsets into an array of samples, so that its onset channel is empty but
    for the beginning of a file: with its weights this channel says more than it did in training.
    """

    width = 2
    delay = _AMPLITUDE_SPAN - 1

    def __init__(self, grid: SampleGrid, events: EventCounter | None = None) -> None:
        self.silence = np.zeros(2, np.float32)
        self.frame_start, self.window_end = grid.frame_start, grid.window_end
        self.window_length = grid.window_length
        self._events = events
        self._picker = OnsetPicker()
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self._sound = np.zeros(0, np.float32)
        self._given = 0
        self._last = np.float32(0)
        self._onsets: list[int] = []
        self._picker.reset()

    def feed(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Take samples, give the entries whose amplitude is complete."""
        clean = to_float(samples, self._events)
        self._onsets += self._picker.feed(clean)
        self._sound = np.concatenate([self._sound, np.abs(clean)])
        ready = self._sound.size - self.delay
        if ready <= 0:
            return np.zeros((0, 2), np.float32)
        amplitude = sliding_maximum(self._sound, _AMPLITUDE_SPAN)
        self._sound = self._sound[ready:]
        self._last = amplitude[-1]
        return self._entries(amplitude)

    def finish(self) -> NDArray[np.float32]:
        """The last 1023 entries; the sound is over."""
        rest = np.full(self._sound.size, self._last, np.float32)
        if self._given == 0 and rest.size:  # shorter than one span
            rest[:] = self._sound.max()
        self._sound = self._sound[:0]
        return self._entries(rest)

    def _entries(self, amplitude: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.stack([amplitude, np.zeros_like(amplitude)], 1)
        end = self._given + len(rows)
        for onset in self._onsets:
            if self._given <= onset < end:
                rows[onset - self._given, 1] = 1.0
        self._onsets = [onset for onset in self._onsets if onset >= end]
        self._given = end
        return rows

    def snapshot(self) -> Any:
        """The state, independent of what comes later."""
        return (
            *(self._sound.copy(), self._given, self._last),
            *(list(self._onsets), self._picker.snapshot()),
        )

    def restore(self, state: Any) -> None:
        """Go on from a snapshot."""
        sound, self._given, self._last, onsets, picker = state
        self._sound, self._onsets = sound.copy(), list(onsets)
        self._picker.restore(picker)


def sliding_maximum(values: NDArray[np.float32], span: int) -> NDArray[np.float32]:
    """Maxima `[n - span + 1]` of `span` (a power of two) successive values of `[n]`."""
    reach = 1
    while reach < span:
        values = np.maximum(values[:-reach], values[reach:])
        reach *= 2
    return values


class FeatureQueue:
    """Entries that wait to be computed."""

    def __init__(self, width: int) -> None:
        self._none = np.zeros((0, width), np.float32)
        self._waiting: deque[NDArray[np.float32]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def push(self, entries: NDArray[np.float32]) -> None:
        """Add entries `[n, width]`."""
        if len(entries):
            self._waiting.append(entries)
            self._count += len(entries)

    def take(self, count: int) -> NDArray[np.float32]:
        """The oldest `count` entries `[count, width]`; all of them where there are fewer."""
        taken, missing = [self._none], count
        while missing > 0 and self._waiting:
            oldest = self._waiting.popleft()
            if len(oldest) > missing:
                self._waiting.appendleft(oldest[missing:])
            taken.append(oldest[:missing])
            missing -= len(taken[-1])
        entries = np.concatenate(taken)
        self._count -= len(entries)
        return entries

    def silence(self, entry: NDArray[np.float32]) -> None:
        """Turn everything that waits into `entry`."""
        self._waiting = deque([np.tile(entry, (self._count, 1))])
