"""render: the frames of a live session at any block size and output rate."""

import numpy as np
import pytest

from engine.errors import SessionError
from engine.session.render import render
from engine.stream.stream import GestureStream
from tests.support.audio import babble
from tests.support.sessions import (
    BUNDLE,
    UNEXPECTED,
    FakeSource,
    RaisingSource,
    Recorder,
    numbers,
    session_of,
)


def test_render_gives_the_frames_of_full_speed() -> None:
    samples = babble(1.0)
    session, expected, _ = session_of(FakeSource(samples), realtime=False)
    session.run()
    recorder = Recorder()
    summary = render(GestureStream(BUNDLE), FakeSource(samples, 7001), [recorder])
    np.testing.assert_array_equal(numbers(recorder.frames), numbers(expected.frames))
    assert (summary.frames, recorder.closed) == (30, 1)


def test_sixty_frames_a_second_are_interpolated() -> None:
    samples = babble(1.0)
    plain, thirty, _ = session_of(FakeSource(samples), realtime=False)
    plain.run()
    double, sixty, _ = session_of(FakeSource(samples), realtime=False, output_rate=60)
    double.run()
    assert len(sixty.frames) == 2 * len(thirty.frames) - 1
    np.testing.assert_array_equal(numbers(sixty.frames[::2]), numbers(thirty.frames))
    assert [f.sample for f in sixty.frames] == [k * 16000 // 60 for k in range(59)]


@pytest.mark.parametrize("block", [1, 160, 4000])
def test_full_speed_does_not_depend_on_the_block(block: int) -> None:
    samples = babble(0.5)
    a, first, _ = session_of(FakeSource(samples, block), realtime=False)
    a.run()
    b, second, _ = session_of(FakeSource(samples, 1234), realtime=False)
    b.run()
    np.testing.assert_array_equal(numbers(first.frames), numbers(second.frames))


@pytest.mark.parametrize("error", UNEXPECTED)
def test_any_exception_of_a_source_at_full_speed_ends_the_session(error: BaseException) -> None:
    """The source runs in the caller's thread, where an interrupt is raised unchanged."""
    session, recorder, _ = session_of(RaisingSource(error), realtime=False)
    expected = SessionError if isinstance(error, Exception) else type(error)
    with pytest.raises(expected):
        session.run()
    assert [f.index for f in recorder.frames] == list(range(30))
    assert recorder.closed == 1
