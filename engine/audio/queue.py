"""QueueSource: audio that is pushed, for example by a voice agent over a socket.

Audio may be pushed faster than real time: it waits here until `blocks` is read; while nothing
waits, silence is returned. Words are placed in the same timeline. No clock.
"""

from collections import deque
from collections.abc import Iterator
from threading import Event, Lock
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.audio import SAMPLE_RATE
from engine.audio.block import PcmBlock
from engine.audio.resample import Resampler
from engine.errors import ConfigError
from engine.events import EventCounter

_BLOCK: Final = 160
_MOST_WAITING: Final = 600 * SAMPLE_RATE  # ten minutes of speech


class QueueSource:
    """An AudioSource fed by `push`; thread-safe."""

    sample_rate = SAMPLE_RATE
    paced = False
    delay_s = 0.0

    def __init__(self, events: EventCounter) -> None:
        self._events = events
        self._lock = Lock()
        self._closed = Event()
        self._waiting: deque[NDArray[np.float32]] = deque()
        self._count = 0
        self._given = 0
        self._utterance: int | None = None
        self._resampler: Resampler | None = None
        self._rate = SAMPLE_RATE

    @property
    def waiting(self) -> int:
        """Samples pushed and not yet taken."""
        with self._lock:
            return self._count

    def push(self, samples: ArrayLike, rate: int = SAMPLE_RATE) -> None:
        """Add sound `[S]` at `rate` Hz; ConfigError when ten minutes already wait."""
        with self._lock:
            sound = self._at_our_rate(np.asarray(samples), rate)
            if self._count + sound.size > _MOST_WAITING:
                raise ConfigError(
                    "ten minutes of sound already wait; send no more until some was used, or cancel"
                )
            self._add(sound)

    def end(self) -> None:
        """End the utterance: the resampler's remaining samples join the queue."""
        with self._lock:
            if self._resampler is not None:
                self._add(self._resampler.flush())
                self._resampler = None
            self._utterance = None

    def clear(self) -> None:
        """Drop all waiting audio."""
        with self._lock:
            self._waiting.clear()
            self._count = 0
            self._utterance = None
            self._resampler = None

    def utterance_start_s(self) -> float:
        """Stream time of the current utterance's first sample, or of the next one's."""
        with self._lock:
            start = self._given + self._count if self._utterance is None else self._utterance
            return start / SAMPLE_RATE

    def blocks(self) -> Iterator[PcmBlock]:
        """Blocks of 10 ms, audio or silence, until closed."""
        while not self._closed.is_set():
            yield PcmBlock(self._take())

    def close(self) -> None:
        """End `blocks`."""
        self._closed.set()

    def _at_our_rate(self, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        if self._resampler is None or rate != self._rate:
            self._resampler = Resampler(rate, SAMPLE_RATE, events=self._events)
            self._rate = rate
        return self._resampler.feed(samples)

    def _add(self, sound: NDArray[np.float32]) -> None:
        if self._utterance is None:
            self._utterance = self._given + self._count
        self._waiting.append(sound)
        self._count += sound.size

    def _take(self) -> NDArray[np.float32]:
        block = np.zeros(_BLOCK, np.float32)
        filled = 0
        with self._lock:
            while self._waiting and filled < _BLOCK:
                piece = self._waiting.popleft()
                used = min(piece.size, _BLOCK - filled)
                block[filled : filled + used] = piece[:used]
                filled += used
                if used < piece.size:
                    self._waiting.appendleft(piece[used:])
            self._count -= filled
            self._given += _BLOCK
        return block
