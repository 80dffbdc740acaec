"""Fault injection for `emage-bench soak`, random but repeatable.

A source that stalls; words that are late, early or repeated; and cancels. Random clients are in
`bench.perf.clients`.
"""

from collections import Counter
from collections.abc import Iterator
from threading import Event, Thread
from typing import Final

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.audio.block import PcmBlock
from engine.session.clock import SessionClock
from engine.session.live import LiveSession
from engine.text.words import TimedWord

_BLOCK: Final = 160
_WORDS: Final = ("i", "you", "never", "big", "maybe", "hello", "unheardof")


class StallingSource:
    """Source that repeats `sound [S]` and stalls at random.

    Stalls are every `every_s` on average, up to `longest_s` long, in seconds of `host`. The sound
    continues where it stopped.

    Attributes:
        stalls: number of stalls so far.

    """

    sample_rate = SAMPLE_RATE
    paced = False
    delay_s = 0.0

    def __init__(
        self,
        sound: np.ndarray,
        host: SessionClock,
        *,
        every_s: float = 20.0,
        longest_s: float = 0.6,
        seed: int = 0,
    ) -> None:
        self._sound, self._host = sound, host
        self._every_s, self._longest_s = every_s, longest_s
        self._rng = np.random.default_rng(seed)
        self._closed = Event()
        self.stalls = 0

    def blocks(self) -> Iterator[PcmBlock]:
        """Yield blocks of 10 ms until closed."""
        at = 0
        while not self._closed.is_set():
            if self._rng.random() < _BLOCK / SAMPLE_RATE / self._every_s:
                self.stalls += 1
                self._host.wait(self._closed, float(self._rng.uniform(0.02, self._longest_s)))
            where = np.arange(at, at + _BLOCK) % len(self._sound)
            yield PcmBlock(self._sound[where])
            at = (at + _BLOCK) % len(self._sound)

    def close(self) -> None:
        """End `blocks`."""
        self._closed.set()


class ControlFuzzer:
    """Thread that sends words and cancels at random until stopped.

    Attributes:
        done: number of actions by kind.

    """

    def __init__(self, session: LiveSession, host: SessionClock, seed: int = 0) -> None:
        self._session, self._host = session, host
        self._rng = np.random.default_rng(seed)
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="control-fuzzer", daemon=True)
        self.done: Counter[str] = Counter()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        begin_s = self._host.now()
        while not self._host.wait(self._stopped, float(self._rng.exponential(1.0))):
            self.act(self._host.now() - begin_s)

    def act(self, stream_s: float) -> None:
        """Perform one random action near `stream_s` of the stream."""
        if self._rng.random() < 0.05:
            self._session.cancel()
            self.done["cancel"] += 1
            return
        words = []
        for _ in range(int(self._rng.integers(1, 8))):
            start_s = max(0.0, stream_s + float(self._rng.uniform(-4.0, 1.0)))
            text = str(self._rng.choice(_WORDS))
            words.append(TimedWord(text, start_s, start_s + float(self._rng.uniform(0.0, 0.6))))
        self._session.push_words(words)
        self.done["words"] += len(words)
