"""LiveSession: equal poses at any speed, constant frame rate, counted faults."""

import math
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from engine.audio.block import PcmBlock
from engine.audio.queue import QueueSource
from engine.errors import AudioError, GestureError, SessionError
from engine.events import EventCounter
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.pose import FrameFlag, PoseFormat, PoseFrame
from engine.session.base import Session, SessionOptions
from engine.session.clock import SessionClock
from engine.session.live import LiveSession
from engine.session.receivers import SessionHooks
from engine.session.render import RenderSession, render
from engine.stream.stream import GestureStream
from engine.text.words import TimedWord
from engine.timing import Stage
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle

BUNDLE = tiny_bundle()


class FakeSource:
    """Yields blocks of one size; stall: delay in seconds by block number."""

    sample_rate = 16000
    paced = False
    delay_s = 0.0

    def __init__(
        self, samples: np.ndarray, block: int = 160, stall: dict[int, float] | None = None
    ) -> None:
        self.samples, self.block, self.stall = samples, block, stall or {}
        self.closed = threading.Event()

    def blocks(self) -> Iterator[PcmBlock]:
        for number, start in enumerate(range(0, len(self.samples), self.block)):
            if self.closed.wait(self.stall.get(number, 0.0)):
                return
            yield PcmBlock(self.samples[start : start + self.block])

    def close(self) -> None:
        self.closed.set()


class Recorder:
    def __init__(self) -> None:
        self.frames: list[PoseFrame] = []
        self.times: list[float] = []
        self.closed = 0

    def open(self, fmt: PoseFormat) -> None:
        pass

    def send(self, frame: PoseFrame) -> None:
        self.frames.append(frame)
        self.times.append(time.monotonic())

    def close(self) -> None:
        self.closed += 1


class SlowKernel(EagerKernel):
    """A kernel slower than real time once `seconds` is set to `wanted`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(BUNDLE.gesture)
        self.seconds = 0.0
        self.wanted = seconds

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        time.sleep(self.seconds)
        return super().__call__(inputs)


def session_of(
    source, *, kernel=None, sinks=(), realtime=True, **options
) -> tuple[Session, Recorder, EventCounter]:
    recorder, events = Recorder(), EventCounter()
    step = None if kernel is None else staged_step(BUNDLE, kernel=kernel)
    stream = GestureStream(BUNDLE, step=step, events=events)
    kind = LiveSession if realtime else RenderSession
    session = kind(stream, source, [*sinks, recorder], SessionOptions(**options))
    return session, recorder, events


def numbers(frames: list[PoseFrame]) -> np.ndarray:
    return np.stack(
        [np.concatenate([f.rotations.ravel(), f.translation, f.contacts, f.face]) for f in frames]
    )


def test_real_time_and_full_speed_give_the_same_frames() -> None:
    samples = babble(2.0)
    fast, quick, _ = session_of(FakeSource(samples, 7001), realtime=False)
    fast.run()
    live, slow, events = session_of(FakeSource(samples))
    summary = live.run()
    assert [f.index for f in slow.frames] == list(range(60))
    on_time = [i for i, f in enumerate(slow.frames) if not f.flags & FrameFlag.HELD]
    if summary.late_frames == 0:
        np.testing.assert_array_equal(numbers(quick.frames), numbers(slow.frames))
    else:  # a busy machine: frames before the first late one are equal
        first = (
            on_time[-1] if len(on_time) == 60 else next(i for i in range(60) if i not in on_time)
        )
        np.testing.assert_array_equal(numbers(quick.frames)[:first], numbers(slow.frames)[:first])
    assert events.snapshot()["late_frame"] == summary.late_frames
    assert slow.closed >= 1


def test_render_gives_the_frames_of_full_speed() -> None:
    samples = babble(1.0)
    session, expected, _ = session_of(FakeSource(samples), realtime=False)
    session.run()
    recorder = Recorder()
    summary = render(GestureStream(BUNDLE), FakeSource(samples, 7001), [recorder])
    np.testing.assert_array_equal(numbers(recorder.frames), numbers(expected.frames))
    assert (summary.frames, recorder.closed) == (30, 1)


def test_the_delay_includes_that_of_the_source() -> None:
    source = FakeSource(babble(0.5))
    source.delay_s = 5.0
    session, _, _ = session_of(source)
    session.prepare()
    assert session.delay_s > 5.0


def test_sixty_frames_a_second_are_interpolated() -> None:
    samples = babble(1.0)
    plain, thirty, _ = session_of(FakeSource(samples), realtime=False)
    plain.run()
    double, sixty, _ = session_of(FakeSource(samples), realtime=False, output_rate=60)
    double.run()
    assert len(sixty.frames) == 2 * len(thirty.frames) - 1
    np.testing.assert_array_equal(numbers(sixty.frames[::2]), numbers(thirty.frames))
    assert [f.sample for f in sixty.frames] == [k * 16000 // 60 for k in range(59)]


def test_a_slow_model_keeps_the_frame_rate() -> None:
    kernel = SlowKernel(0.15)
    session, recorder, events = session_of(FakeSource(babble(2.0)), kernel=kernel)
    session.prepare()
    kernel.seconds = kernel.wanted  # slow only after the start
    summary = session.run()
    assert [f.index for f in recorder.frames] == list(range(60))
    assert summary.late_frames > 10
    assert events.snapshot()["late_frame"] == summary.late_frames
    held = [f for f in recorder.frames if f.flags & FrameFlag.HELD]
    assert len(held) >= summary.late_frames
    assert summary.frames == 60


def test_gaps_of_a_stalled_source_are_filled_and_counted() -> None:
    session, recorder, events = session_of(FakeSource(babble(1.5), stall={60: 0.6}))
    summary = session.run()
    assert events.snapshot()["underrun"] >= 1
    assert summary.audio_s > 1.5
    assert [f.index for f in recorder.frames] == list(range(len(recorder.frames)))


def test_stop_ends_the_session_and_closes_the_sinks() -> None:
    session, recorder, _ = session_of(FakeSource(babble(30.0)))
    threading.Timer(0.5, session.stop).start()
    summary = session.run()
    assert summary.audio_s < 10
    assert recorder.closed >= 1


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


def test_pushed_audio_can_be_faster_than_real_time_and_cancelled() -> None:
    events = EventCounter()
    source = QueueSource(events)
    source.push(babble(20.0))
    session, recorder, _ = session_of(source, duration_s=1.0)

    def interrupt() -> None:
        session.cancel()

    threading.Timer(0.4, interrupt).start()
    session.run()
    assert source.waiting == 0
    assert [f.index for f in recorder.frames] == list(range(30))


def test_the_summary_has_the_documented_keys() -> None:
    session, _, _ = session_of(FakeSource(babble(1.0)))
    result = session.run().as_json()
    expected = "frames audio_s rtf hop_frames lookahead_ms fps_out late_frames events bundle terms"
    assert set(expected.split()) <= set(result)
    assert (
        set(result["audio_to_pose_ms"]) == {"p50", "p95", "p99", "max"} == set(result["compute_ms"])
    )
    assert set(result["terms"]) == {"lookahead_ms", "hop_wait_ms", "compute_ms", "playout_ms"}
    assert result["jitter_ms"]["p50"] >= 0.0
    assert all(result["stages_ms"][stage]["max"] > 0.0 for stage in Stage)
    assert result["hop_frames"] == 2
    assert not math.isnan(result["fps_out"])


def test_a_session_can_run_on_a_faster_clock() -> None:
    """All times are in seconds of the session clock, and no frame is lost."""
    host = SessionClock(8.0)
    stream = GestureStream(BUNDLE)
    recorder = Recorder()
    session = LiveSession(stream, FakeSource(babble(2.0)), [recorder], SessionOptions(clock=host))
    begin = host.now()
    session.run()
    assert [f.index for f in recorder.frames] == list(range(60))
    assert begin < session.captured_s(0) < session.captured_s(32000) < host.now()


@pytest.mark.parametrize("block", [1, 160, 4000])
def test_full_speed_does_not_depend_on_the_block(block: int) -> None:
    samples = babble(0.5)
    a, first, _ = session_of(FakeSource(samples, block), realtime=False)
    a.run()
    b, second, _ = session_of(FakeSource(samples, 1234), realtime=False)
    b.run()
    np.testing.assert_array_equal(numbers(first.frames), numbers(second.frames))


class FailingSource(FakeSource):
    """A source that fails after one second."""

    def blocks(self) -> Iterator[PcmBlock]:
        for number, block in enumerate(super().blocks()):
            if number == 100:
                raise AudioError("the cable was pulled")
            yield block


def test_a_failing_source_ends_the_session_after_its_frames() -> None:
    session, recorder, _ = session_of(FailingSource(babble(5.0)))
    with pytest.raises(AudioError, match="cable"):
        session.run()
    assert [f.index for f in recorder.frames] == list(range(30))
    assert recorder.closed >= 1


UNEXPECTED = [ValueError("odd"), MemoryError(), SystemExit(3), KeyboardInterrupt()]


class RaisingSource(FakeSource):
    """A source that raises `error` after one second."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(babble(5.0))
        self.error = error

    def blocks(self) -> Iterator[PcmBlock]:
        for number, block in enumerate(super().blocks()):
            if number == 100:
                raise self.error
            yield block


@pytest.mark.parametrize("error", UNEXPECTED)
def test_any_exception_of_a_source_thread_ends_the_session(error: BaseException) -> None:
    session, recorder, _ = session_of(RaisingSource(error))
    with pytest.raises(SessionError, match=f"the sound source .*{type(error).__name__}"):
        session.run()
    assert [f.index for f in recorder.frames] == list(range(30))
    assert recorder.closed == 1
    assert session.summary().frames == 30


@pytest.mark.parametrize("error", UNEXPECTED)
def test_any_exception_of_a_source_at_full_speed_ends_the_session(error: BaseException) -> None:
    """The source runs in the caller's thread, where an interrupt is raised unchanged."""
    session, recorder, _ = session_of(RaisingSource(error), realtime=False)
    expected = SessionError if isinstance(error, Exception) else type(error)
    with pytest.raises(expected):
        session.run()
    assert [f.index for f in recorder.frames] == list(range(30))
    assert recorder.closed == 1


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


class JumpingClock(SessionClock):
    """Real time with jumps, as after a stopped process."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


@pytest.mark.parametrize("seconds", [1.0, 5.0, 600.0])
def test_after_a_pause_the_stream_continues_where_it_stopped(seconds: float) -> None:
    host = JumpingClock()
    session, recorder, events = session_of(FakeSource(babble(2.0)), clock=host)

    def send(frame: PoseFrame) -> None:
        recorder.frames.append(frame)
        if frame.index == 20:
            host.ahead = seconds

    recorder.send = send  # type: ignore[method-assign]
    summary = session.run()
    assert [f.index for f in recorder.frames] == list(range(60))
    assert summary.audio_s == 2.0
    counts = events.snapshot()
    assert counts["pause"] >= 1
    assert counts["underrun"] == counts["overrun"] == 0
    assert any(note.startswith("the process was stopped for ") for note in events.notes)
    assert session.captured_s(0) == pytest.approx(host.now() - 2.0, abs=1.0)
