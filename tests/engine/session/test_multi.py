"""Many streams in real time, in one thread: each gets its frames, faults are counted."""

from collections import defaultdict
from threading import Event

import numpy as np
import pytest

from engine.errors import ConfigError, SessionError
from engine.events import LATE_FRAME, LOST_DEVICE, UNDERRUN, EventCounter
from engine.motion.pose import FrameFlag, PoseChunk, concatenate
from engine.session.clock import SessionClock
from engine.session.multi import PoolSession, StreamHandle
from engine.stream.pool import StreamPool
from engine.stream.stream import GestureStream
from engine.text.words import TimedWord
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle

BUNDLE = tiny_bundle()
PATIENCE_S = 60.0


class SteppedClock(SessionClock):
    """Time that stands still but for what the test lets pass."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1000.0

    def now(self) -> float:
        return self.at


class Room:
    """A session whose thread is the test's own: `turn` does what it would do."""

    def __init__(self, capacity: int = 3) -> None:
        self.host, self.events = SteppedClock(), EventCounter()
        pool = StreamPool(BUNDLE, capacity)
        self.session = PoolSession(pool, events=self.events, host=self.host)
        self.chunks: dict[int, list[PoseChunk]] = defaultdict(list)

    def join(self, seed: int = 0) -> StreamHandle:
        return self.session.open(lambda chunk: self.chunks[seed].append(chunk), seed=seed)

    def turn(self, seconds: float = 0.0) -> None:
        self.host.at += seconds
        while self.session.advance():
            pass


def test_streams_move_as_if_alone_in_a_thread_of_the_session() -> None:
    """Sound comes faster than it is heard; nothing is late then."""
    session = PoolSession(StreamPool(BUNDLE, 3), events=(events := EventCounter()))
    session.start()
    chunks: dict[int, list[PoseChunk]] = defaultdict(list)
    streams = []
    for seed in range(3):
        stream = session.open(chunks[seed].append, seed=seed)
        session.feed_words(stream, [TimedWord("never", 0.2, 0.5)])
        sound = babble(1.0 + 0.3 * seed, seed=seed)
        for start in range(0, len(sound), 1000):
            session.feed_audio(stream, sound[start : start + 1000])
        session.finish(stream)
        streams.append(stream)
    assert all(stream.over.wait(PATIENCE_S) for stream in streams)
    session.stop()
    for seed in range(3):
        stream = GestureStream(BUNDLE, seed=seed)
        stream.feed_words([TimedWord("never", 0.2, 0.5)])
        stream.feed_audio(babble(1.0 + 0.3 * seed, seed=seed))
        expected, given = concatenate(stream.flush()), concatenate(chunks[seed])
        if not events.snapshot()[LATE_FRAME]:  # a machine that stood still holds frames
            np.testing.assert_allclose(given.rotations, expected.rotations, atol=2e-4)
        assert (given.first, len(given)) == (0, len(expected))


def test_what_is_too_late_is_held_and_counted() -> None:
    room = Room()
    stream = room.join()
    room.session.feed_audio(stream, babble(0.5))
    room.turn(0.14)
    flags = concatenate(room.chunks[0]).flags
    held = sum(bool(flag & FrameFlag.HELD) for flag in flags)
    assert len(flags) == 14
    # All were heard by 0 s and due 0.1 s later.
    assert held == stream.held == room.events.snapshot()[LATE_FRAME] == 14
    room.session.feed_audio(stream, babble(0.5))
    room.turn()
    assert not room.chunks[0][-1].flags[-1] & FrameFlag.HELD


def test_silence_stands_in_for_sound_that_stays_away() -> None:
    room = Room()
    quiet, talking, never_began = room.join(0), room.join(1), room.join(2)
    for _ in range(20):
        room.session.feed_audio(talking, babble(0.1))
        if not room.chunks[0]:
            room.session.feed_audio(quiet, babble(0.1))
        room.turn(0.1)
    assert room.events.snapshot()[UNDERRUN] > 0
    frames = {number: sum(map(len, chunks)) for number, chunks in room.chunks.items()}
    assert frames[1] == 60
    assert 52 <= frames[0] <= 63
    assert 2 not in frames
    assert never_began.held == 0


def test_a_stream_who_left_gets_nothing_more_and_makes_room() -> None:
    room = Room(capacity=1)
    first = room.join(1)
    room.session.feed_audio(first, babble(0.2))
    with pytest.raises(ConfigError, match="all 1 streams of the pool are in use"):
        room.join(2)
    room.session.close(first)
    room.session.close(first)
    second = room.join(3)
    room.session.cancel(first)  # by now another's slot: not that one's business
    room.session.feed_audio(second, babble(0.2))
    room.turn()
    room.session.finish(second)
    room.turn()
    assert list(room.chunks) == [3]
    assert second.over.is_set()
    assert not first.over.is_set()
    with pytest.raises(ConfigError, match="unknown speaker 'eve'"):
        room.session.open(Event().set, speaker="eve")  # type: ignore[arg-type]


def test_a_stream_that_fails_leaves_the_others_alone() -> None:
    room = Room()

    def broken(_chunk: PoseChunk) -> None:
        raise ValueError("the socket is gone")

    healthy, failing = room.join(0), room.session.open(broken)
    wrong = room.join(2)
    for stream in (healthy, failing):
        room.session.feed_audio(stream, babble(0.5))
    room.session.feed_audio(wrong, np.zeros((2, 160), np.float32))
    room.session.finish(healthy)
    room.turn()
    assert healthy.over.is_set()
    assert healthy.error is None
    assert isinstance(failing.error, ValueError)
    assert failing.over.is_set()
    assert wrong.over.is_set()
    assert wrong.error is not None
    assert sum(map(len, room.chunks[0])) == 15
    assert room.events.snapshot()[LOST_DEVICE] == 2


def test_a_pool_that_fails_ends_every_wait_and_is_told() -> None:
    pool = StreamPool(BUNDLE, 2)
    session = PoolSession(pool, events=EventCounter())

    def broken(_slots: object) -> dict[int, PoseChunk]:
        raise MemoryError

    pool.step = pool.skip = broken  # type: ignore[method-assign, assignment]
    session.start()
    stream = session.open(lambda _chunk: None)
    session.feed_audio(stream, babble(0.5))
    assert stream.over.wait(PATIENCE_S)
    assert isinstance(stream.error, MemoryError)
    for call in (session.stop, lambda: session.feed_audio(stream, babble(0.1))):
        with pytest.raises(SessionError, match="MemoryError"):
            call()
