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


class Rig:
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


def test_streams_of_a_session_equal_single_streams() -> None:
    """Audio arrives faster than real time, so nothing is late."""
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


def test_late_hops_are_held_and_counted() -> None:
    rig = Rig()
    stream = rig.join()
    rig.session.feed_audio(stream, babble(0.5))
    rig.turn(0.14)
    flags = concatenate(rig.chunks[0]).flags
    held = sum(bool(flag & FrameFlag.HELD) for flag in flags)
    assert len(flags) == 14
    # All were captured by 0 s and due 0.1 s later.
    assert held == stream.held == rig.events.snapshot()[LATE_FRAME] == 14
    rig.session.feed_audio(stream, babble(0.5))
    rig.turn()
    assert not rig.chunks[0][-1].flags[-1] & FrameFlag.HELD


def test_missing_audio_is_replaced_by_silence() -> None:
    rig = Rig()
    quiet, talking, never_began = rig.join(0), rig.join(1), rig.join(2)
    for _ in range(20):
        rig.session.feed_audio(talking, babble(0.1))
        if not rig.chunks[0]:
            rig.session.feed_audio(quiet, babble(0.1))
        rig.turn(0.1)
    assert rig.events.snapshot()[UNDERRUN] > 0
    frames = {number: sum(map(len, chunks)) for number, chunks in rig.chunks.items()}
    assert frames[1] == 60
    assert 52 <= frames[0] <= 63
    assert 2 not in frames
    assert never_began.held == 0


def test_a_closed_stream_gets_no_frames_and_frees_its_slot() -> None:
    rig = Rig(capacity=1)
    first = rig.join(1)
    rig.session.feed_audio(first, babble(0.2))
    with pytest.raises(ConfigError, match="all 1 streams of the pool are in use"):
        rig.join(2)
    rig.session.close(first)
    rig.session.close(first)
    second = rig.join(3)
    rig.session.cancel(first)  # by now another's slot: not that one's business
    rig.session.feed_audio(second, babble(0.2))
    rig.turn()
    rig.session.finish(second)
    rig.turn()
    assert list(rig.chunks) == [3]
    assert second.over.is_set()
    assert not first.over.is_set()
    with pytest.raises(ConfigError, match="unknown speaker 'eve'"):
        rig.session.open(Event().set, speaker="eve")  # type: ignore[arg-type]


def test_a_failing_stream_does_not_affect_others() -> None:
    rig = Rig()

    def broken(_chunk: PoseChunk) -> None:
        raise ValueError("the socket is gone")

    healthy, failing = rig.join(0), rig.session.open(broken)
    wrong = rig.join(2)
    for stream in (healthy, failing):
        rig.session.feed_audio(stream, babble(0.5))
    rig.session.feed_audio(wrong, np.zeros((2, 160), np.float32))
    rig.session.finish(healthy)
    rig.turn()
    assert healthy.over.is_set()
    assert healthy.error is None
    assert isinstance(failing.error, ValueError)
    assert failing.over.is_set()
    assert wrong.over.is_set()
    assert wrong.error is not None
    assert sum(map(len, rig.chunks[0])) == 15
    assert rig.events.snapshot()[LOST_DEVICE] == 2


def test_a_failing_pool_ends_every_stream_with_its_error() -> None:
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
