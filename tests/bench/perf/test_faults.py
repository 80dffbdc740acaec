"""Fault injection is random, repeatable and counted."""

from itertools import islice
from threading import Event

import numpy as np

from bench.perf.faults import ControlFuzzer, StallingSource
from engine.session.clock import SessionClock
from engine.text.words import TimedWord


class InstantClock(SessionClock):
    """Clock that records waits and returns at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, event: Event, seconds: float) -> bool:
        self.waits.append(seconds)
        return event.is_set()


class Session:
    def __init__(self) -> None:
        self.words: list[TimedWord] = []
        self.cancels = 0

    def push_words(self, words: list[TimedWord]) -> None:
        self.words += words

    def cancel(self) -> None:
        self.cancels += 1


def test_a_stalling_source_loses_no_samples() -> None:
    sound = np.arange(1000, dtype=np.float32)
    host = InstantClock()
    source = StallingSource(sound, host, every_s=0.5, longest_s=0.6)
    blocks = list(islice(source.blocks(), 1000))  # ten seconds
    received = np.concatenate([block.samples for block in blocks])
    np.testing.assert_array_equal(received, np.resize(sound, 160_000))
    assert 10 < source.stalls < 32
    assert len(host.waits) == source.stalls
    assert 0.02 <= min(host.waits) <= max(host.waits) <= 0.6
    source.close()
    assert list(source.blocks()) == []


def test_the_fuzzer_sends_words_and_cancels_repeatably() -> None:
    session = Session()
    fuzzer = ControlFuzzer(session, InstantClock())  # type: ignore[arg-type]
    for _ in range(300):
        fuzzer.act(2.0)
    assert session.cancels == fuzzer.done["cancel"] > 5
    assert len(session.words) == fuzzer.done["words"] > 300
    starts = [word.start_s for word in session.words]
    assert min(starts) == 0.0
    assert 2.0 < max(starts) <= 3.0
    again = Session()
    other = ControlFuzzer(again, InstantClock())  # type: ignore[arg-type]
    for _ in range(300):
        other.act(2.0)
    assert again.words == session.words


def test_the_fuzzer_stops() -> None:
    fuzzer = ControlFuzzer(Session(), SessionClock(1000.0))  # type: ignore[arg-type]
    fuzzer.start()
    fuzzer.stop()
    assert not fuzzer._thread.is_alive()
