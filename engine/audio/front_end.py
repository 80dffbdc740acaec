"""Front ends: samples to audio steps, and the positions of frames among them.

An audio step is a frame of features, or one sample with its channels. Any split of the audio gives
the same bits. `FeatureExtractor` is the front end of this project's own models.
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
"""Grid of live windows of samples: multiples of this (1.9 ms), the stride of the encoder's first
blocks, so that consecutive windows can share their outputs; see `engine.kernels.encoder_cache`. The
encoder's own frames are 540 samples long and differ from video frames by 27 ms in a window."""


class FrontEndStream(Protocol):
    """Samples in, audio steps `[n, width]` out.

    Attributes:
        width: channels of an audio step.
        delay: samples after its own that an audio step needs.

    """

    width: int
    delay: int

    @property
    def silence(self) -> NDArray[np.float32]:
        """`[width]`, the audio step of digital silence."""
        ...

    def feed(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Take mono samples `[S]`, return the audio steps that are now complete."""
        ...

    def finish(self) -> NDArray[np.float32]:
        """End the audio: the remaining audio steps."""
        ...

    def frame_start(self, frame: int) -> int:
        """Audio steps before frame `frame` begins."""
        ...

    def window_end(self, frame: int) -> int:
        """End (exclusive), in audio steps, of the window whose last frame is `frame - 1`.

        `frame_start`, rounded down to the encoder stride.
        """
        ...

    def window_length(self, frames: int) -> int:
        """Audio steps in a window of `frames` frames, the same at any position."""
        ...

    def reset(self) -> None:
        """Forget everything."""
        ...

    def snapshot(self) -> Any:
        """The state, independent of later changes."""
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
    """Positions of frames among samples.

    truncated: every frame is `sample_rate // frame_rate` samples long, as in the reference
    implementations, instead of by the clock. step: live windows end at multiples of this.
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
        """End, in samples, of the window whose last frame is `frame - 1`."""
        end = self.frame_start(frame)
        return end if self._truncated else end // self._step * self._step

    def window_length(self, frames: int) -> int:
        """Samples in a window of `frames` frames."""
        return frames * self._whole


class WaveFrontEnd:
    """The samples as they are, one channel."""

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
        """Nothing: every sample is complete."""
        return np.zeros((0, 1), np.float32)

    def reset(self) -> None:
        """Nothing: it has no state."""

    def snapshot(self) -> None:
        """Nothing: it has no state."""

    def restore(self, state: None) -> None:
        """Nothing: it has no state."""


class AmplitudeOnsetFrontEnd:
    """Two channels per sample: amplitude and onset impulses (EMAGE section 4.3, the code of 2024).

    Amplitude is the largest |x| of this and the next 1023 samples; at the end of the audio its last
    value is repeated. Onsets are ones where `OnsetPicker` finds them. The reference implementation
    wrote the frame numbers of its onsets into an array of samples, so that its onset channel is
    empty but for the beginning of a file; with its weights this channel has more ones than in
    training.
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
        """Take samples, return the audio steps whose amplitude is complete."""
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
        """End the audio: the last 1023 audio steps."""
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
        """The state, independent of later changes."""
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
    """Audio steps that wait for a hop."""

    def __init__(self, width: int) -> None:
        self._none = np.zeros((0, width), np.float32)
        self._waiting: deque[NDArray[np.float32]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def push(self, entries: NDArray[np.float32]) -> None:
        """Add audio steps `[n, width]`."""
        if len(entries):
            self._waiting.append(entries)
            self._count += len(entries)

    def take(self, count: int) -> NDArray[np.float32]:
        """Remove and return the oldest audio steps, `[count, width]` or all if there are fewer."""
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
        """Replace all waiting audio steps by `entry`."""
        self._waiting = deque([np.tile(entry, (self._count, 1))])
