"""CaptureThread: audio of files is passed on when due; the first sample's time is fixed."""

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


class Given:
    """Gives ready-made blocks, at once."""

    sample_rate = 16000

    delay_s = 0.0

    def __init__(self, blocks: list[PcmBlock], paced: bool = False) -> None:
        self.given, self.paced = blocks, paced

    def blocks(self) -> Iterator[PcmBlock]:
        yield from self.given

    def close(self) -> None:
        pass


def read(source: Given) -> tuple[CaptureThread, MediaClock, list[tuple[int, float]]]:
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


def test_a_file_is_handed_on_no_sooner_than_heard() -> None:
    reader, pace, taken = read(Given([silence(1600), silence(1600)]))
    assert reader.end == 3200
    heard = 0
    for count, at in taken:
        heard += count
        assert at >= pace.captured_s(heard) - 1e-6


def test_a_pipe_that_was_full_and_goes_on_at_once_is_a_file() -> None:
    now = time.monotonic()
    _, pace, _ = read(Given([silence(8000, now)]))
    assert pace.origin_s >= now - 0.01


def test_a_first_short_block_was_heard_just_now() -> None:
    now = time.monotonic()
    _, pace, _ = read(Given([silence(320, now)]))
    assert pace.origin_s == now - 0.02


def test_a_failing_source_ends_and_keeps_its_error() -> None:
    class Broken(Given):
        def blocks(self) -> Iterator[PcmBlock]:
            yield silence(160)
            raise AudioError("gone")

    reader, _, _ = read(Broken([]))
    assert reader.end == 160
    assert str(reader.error) == "gone"


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), KeyboardInterrupt()])
def test_an_exception_of_any_kind_ends_the_sound_and_is_kept(error: BaseException) -> None:
    class Broken(Given):
        def blocks(self) -> Iterator[PcmBlock]:
            yield silence(160)
            raise error

    reader, _, _ = read(Broken([]))
    assert (reader.end, reader.error) == (160, error)


class Told(SessionClock):
    """Time that the test tells; nobody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 100.0

    def now(self) -> float:
        return self.at

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.is_set()


class Stopped(Given):
    """A second of sound in pieces, five seconds in which the process is stopped, then `later`.

    early_s: how long before it is due sound comes.
    """

    def __init__(self, host: Told, later: list[int], early_s: float, paced: bool) -> None:
        super().__init__([], paced)
        self.host, self.later, self.early_s = host, later, early_s

    def blocks(self) -> Iterator[PcmBlock]:
        begin = self.host.at
        for piece in range(1, 101):
            heard = begin + piece / 100
            self.host.at = max(self.host.at, heard - self.early_s)
            yield silence(160, max(begin, self.host.at))
        self.host.at += 5.0
        for count in self.later:
            yield silence(count, self.host.at)


@pytest.mark.parametrize(
    ("later", "early_s", "paced", "kept"),
    [
        ([32000, 32000], 0.0, False, 960),  # a pipe in real time: what gathered is stale
        ([160] * 500, 0.0, True, 480),  # a microphone
        ([32000, 32000], 0.9, False, 64000),  # a pipe that is written as fast as it is read
        ([320], 0.0, False, 320),
    ],
)
def test_sound_that_gathered_in_a_pause_is_stale_where_it_comes_in_real_time(
    later: list[int], early_s: float, paced: bool, kept: int
) -> None:
    host = Told()
    time = SessionTime(host)
    time.watch()
    messages: list[Message] = []
    source, clock = Stopped(host, later, early_s, paced), MediaClock(stamped=paced)
    thread = CaptureThread(source, clock, threading.Event(), messages.append, time)
    thread._run()
    assert thread.error is None
    taken = sum(len(each.samples) for each in messages if isinstance(each, AudioIn))
    assert taken - SAMPLE_RATE == pytest.approx(kept, abs=161 if paced else 481)
