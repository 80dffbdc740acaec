"""Session: limits, hooks, and the end after a failure of any part, live and rendering."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from engine.errors import GestureError, SessionError
from engine.kernels.eager import EagerKernel
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.pose import PoseFrame
from engine.session.base import Session
from engine.session.receivers import SessionHooks
from engine.text.words import TimedWord
from tests.support.audio import babble
from tests.support.sessions import BUNDLE, UNEXPECTED, FakeSource, Recorder, session_of


def test_duration_limits_the_stream() -> None:
    session, recorder, _ = session_of(FakeSource(babble(5.0)), realtime=False, duration_s=1.0)
    summary = session.run()
    assert summary.audio_s == 1.0
    assert len(recorder.frames) == 30


def test_words_are_passed_to_the_hooks() -> None:
    received: list[TimedWord] = []
    hooks = SessionHooks(words=[received.extend])
    session, _, _ = session_of(FakeSource(babble(1.0)), realtime=False, hooks=hooks)
    session.push_words([TimedWord("hello", 0.1, 0.5)])
    session.run()
    assert [word.text for word in received] == ["hello"]


def test_taps_receive_every_sample_once() -> None:
    pieces: list[tuple[int, np.ndarray]] = []
    hooks = SessionHooks(taps=[lambda first, samples: pieces.append((first, samples))])
    samples = babble(1.0)
    session, _, _ = session_of(FakeSource(samples, 333), realtime=False, hooks=hooks)
    session.run()
    np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]), samples)
    assert [first for first, _ in pieces] == list(range(0, len(samples), 333))


class FailingSink(Recorder):
    """A receiver that raises from its tenth frame on."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def send(self, frame: PoseFrame) -> None:
        if frame.index >= 10:
            raise self.error
        super().send(frame)


@pytest.mark.parametrize("realtime", [True, False])
@pytest.mark.parametrize("error", UNEXPECTED)
def test_any_exception_of_a_receiver_ends_the_session(error: BaseException, realtime: bool) -> None:
    bad = FailingSink(error)
    session, recorder, _ = session_of(FakeSource(babble(20.0)), sinks=[bad], realtime=realtime)
    with pytest.raises(SessionError, match=f"receiver FailingSink .*{type(error).__name__}"):
        session.run()
    assert [f.index for f in bad.frames] == list(range(10))
    assert 11 <= len(recorder.frames) < 300
    assert [f.index for f in recorder.frames] == list(range(len(recorder.frames)))
    assert (bad.closed, recorder.closed) == (1, 1)


@pytest.mark.parametrize("realtime", [True, False])
def test_a_receiver_with_a_full_disk_does_not_end_the_session(realtime: bool) -> None:
    bad = FailingSink(OSError(28, "No space left on device"))
    session, recorder, events = session_of(FakeSource(babble(1.0)), sinks=[bad], realtime=realtime)
    session.run()
    assert len(recorder.frames) == 30
    assert events.snapshot()["lost_device"] == 1
    (line,) = (note for note in events.notes if "disk" in note or "space" in note)
    assert "No space left" in line


def raise_at_call(error: BaseException, calls: int) -> Callable[..., None]:
    """A hook that raises at call number `calls`."""
    counted = iter(range(10**9))

    def hook(*_: object) -> None:
        if next(counted) == calls:
            raise error

    return hook


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError()])
@pytest.mark.parametrize(
    ("name", "calls", "realtime"),
    [("taps", 50, True), ("taps", 50, False), ("stats", 1, True), ("words", 0, True)],
)
def test_any_exception_of_a_hook_ends_the_session(
    error: BaseException, name: str, calls: int, realtime: bool
) -> None:
    hooks = SessionHooks()
    getattr(hooks, name).append(raise_at_call(error, calls))
    session, recorder, _ = session_of(FakeSource(babble(20.0)), realtime=realtime, hooks=hooks)
    session.push_words([TimedWord("hello", 0.1, 0.5)])
    with pytest.raises(SessionError, match=type(error).__name__):
        session.run()
    expected_frames = BUNDLE.config.clock.frames_complete(round(session.summary().audio_s * 16000))
    assert [f.index for f in recorder.frames] == list(range(expected_frames))
    assert recorder.closed == 1


class BrokenKernel(EagerKernel):
    """A kernel that fails from call number `calls` on."""

    def __init__(self, calls: int) -> None:
        super().__init__(BUNDLE.gesture)
        self.left = calls

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        self.left -= 1
        if self.left < 0:
            raise MemoryError
        return super().__call__(inputs)


@pytest.mark.parametrize("realtime", [True, False])
def test_a_failing_kernel_ends_the_session(realtime: bool) -> None:
    session, recorder, _ = session_of(
        FakeSource(babble(20.0)), kernel=BrokenKernel(30), realtime=realtime
    )
    with pytest.raises(SessionError, match="MemoryError"):
        session.run()
    assert 10 < len(recorder.frames) < 100
    assert [f.index for f in recorder.frames] == list(range(len(recorder.frames)))
    assert recorder.closed == 1


def test_a_failure_reported_from_outside_ends_the_session() -> None:
    session, recorder, _ = session_of(FakeSource(babble(30.0)))
    threading.Timer(0.3, lambda: session.fail(ValueError("odd"), "reading words")).start()
    with pytest.raises(GestureError, match="reading words failed unexpectedly"):
        session.run()
    assert recorder.closed == 1


@pytest.mark.parametrize("realtime", [True, False])
def test_after_a_stop_all_frames_of_the_received_audio_are_sent(realtime: bool) -> None:
    session, recorder, _ = session_of(FakeSource(babble(60.0)), realtime=realtime)
    recorder.send = stopping_at(20, session, recorder)  # type: ignore[method-assign]
    session.run()
    expected_frames = BUNDLE.config.clock.frames_complete(round(session.summary().audio_s * 16000))
    assert [f.index for f in recorder.frames] == list(range(expected_frames))
    assert 20 < expected_frames < 600


def stopping_at(index: int, session: Session, recorder: Recorder) -> Callable[[PoseFrame], None]:
    def send(frame: PoseFrame) -> None:
        recorder.frames.append(frame)
        if frame.index == index:
            session.stop()

    return send
