"""CaptureThread passes file audio on when due and fixes the time of the first sample."""

import math
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from engine.audio import SAMPLE_RATE
from engine.audio.block import PcmBlock
from engine.errors import AudioError
from engine.session.capture import CaptureThread
from engine.session.clock import SessionClock, SessionTime
from engine.session.media_clock import MediaClock
from engine.session.messages import AudioIn, Message


class FakeSource:
    """Yields the given blocks without waiting."""

    sample_rate = 16000

    delay_s = 0.0

    def __init__(self, blocks: list[PcmBlock], paced: bool = False) -> None:
        self.prepared, self.paced = blocks, paced

    def blocks(self) -> Iterator[PcmBlock]:
        yield from self.prepared

    def close(self) -> None:
        pass


def read(source: FakeSource) -> tuple[CaptureThread, MediaClock, list[tuple[int, float]]]:
    clock, ended = MediaClock(stamped=source.paced), threading.Event()
    taken: list[tuple[int, float]] = []

    def put(message: Message) -> None:
        if isinstance(message, AudioIn):
            taken.append((len(message.samples), time.monotonic()))
        else:
            ended.set()

    thread = CaptureThread(source, clock, threading.Event(), put)
    thread.start()
    assert ended.wait(10)
    return thread, clock, taken


def silence(samples: int, captured_at: float = math.nan) -> PcmBlock:
    return PcmBlock(np.zeros(samples, np.float32), captured_at)


def test_file_audio_is_not_passed_on_early() -> None:
    reader, media_clock, taken = read(FakeSource([silence(1600), silence(1600)]))
    assert reader.end == 3200
    received = 0
    for count, at in taken:
        received += count
        assert at >= media_clock.captured_s(received) - 1e-6


def test_a_full_pipe_starts_at_its_capture_time() -> None:
    now = time.monotonic()
    _, media_clock, _ = read(FakeSource([silence(8000, now)]))
    assert media_clock.origin_s >= now - 0.01


def test_a_first_short_block_was_captured_just_before() -> None:
    now = time.monotonic()
    _, media_clock, _ = read(FakeSource([silence(320, now)]))
    assert media_clock.origin_s == now - 0.02


def test_a_failing_source_ends_the_capture_and_stores_the_error() -> None:
    class Broken(FakeSource):
        def blocks(self) -> Iterator[PcmBlock]:
            yield silence(160)
            raise AudioError("gone")

    reader, _, _ = read(Broken([]))
    assert reader.end == 160
    assert str(reader.error) == "gone"


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), KeyboardInterrupt()])
def test_any_exception_ends_the_capture_and_is_stored(error: BaseException) -> None:
    class Broken(FakeSource):
        def blocks(self) -> Iterator[PcmBlock]:
            yield silence(160)
            raise error

    reader, _, _ = read(Broken([]))
    assert (reader.end, reader.error) == (160, error)


class ManualClock(SessionClock):
    """A clock that the test sets; waits return at once."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 100.0

    def now(self) -> float:
        return self.at

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.is_set()


class PausedSource(FakeSource):
    """One second of audio in blocks, a process pause of five seconds, then blocks of `later`.

    early_s: time by which audio arrives before it is due.
    """

    def __init__(self, host: ManualClock, later: list[int], early_s: float, paced: bool) -> None:
        super().__init__([], paced)
        self.host, self.later, self.early_s = host, later, early_s

    def blocks(self) -> Iterator[PcmBlock]:
        begin = self.host.at
        for piece in range(1, 101):
            captured_s = begin + piece / 100
            self.host.at = max(self.host.at, captured_s - self.early_s)
            yield silence(160, max(begin, self.host.at))
        self.host.at += 5.0
        for count in self.later:
            yield silence(count, self.host.at)


@pytest.mark.parametrize(
    ("later", "early_s", "paced", "expected"),
    [
        ([32000, 32000], 0.0, False, 960),  # a real-time pipe: audio of the pause is stale
        ([160] * 500, 0.0, True, 480),  # a microphone
        ([32000, 32000], 0.9, False, 64000),  # a pipe written as fast as it is read
        ([320], 0.0, False, 320),
    ],
)
def test_real_time_audio_of_a_pause_is_dropped(
    later: list[int], early_s: float, paced: bool, expected: int
) -> None:
    host = ManualClock()
    time = SessionTime(host)
    time.watch()
    messages: list[Message] = []
    source, clock = PausedSource(host, later, early_s, paced), MediaClock(stamped=paced)
    thread = CaptureThread(source, clock, threading.Event(), messages.append, time)
    thread._run()
    assert thread.error is None
    taken = sum(len(each.samples) for each in messages if isinstance(each, AudioIn))
    assert taken - SAMPLE_RATE == pytest.approx(expected, abs=161 if paced else 481)
