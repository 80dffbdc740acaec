"""LiveSession: equal poses at any speed, constant frame rate, counted faults."""

import math
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from engine.audio.block import PcmBlock
from engine.audio.queue import QueueSource
from engine.errors import AudioError, SessionError
from engine.events import EventCounter
from engine.kernels.eager import EagerKernel
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.pose import FrameFlag, PoseFrame
from engine.session.base import SessionOptions
from engine.session.clock import SessionClock
from engine.session.live import LiveSession
from engine.stream.stream import GestureStream
from engine.timing import Stage
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


class SlowKernel(EagerKernel):
    """A kernel slower than real time once `seconds` is set to `wanted`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(BUNDLE.gesture)
        self.seconds = 0.0
        self.wanted = seconds

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        time.sleep(self.seconds)
        return super().__call__(inputs)


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


def test_the_delay_includes_that_of_the_source() -> None:
    source = FakeSource(babble(0.5))
    source.delay_s = 5.0
    session, _, _ = session_of(source)
    session.prepare()
    assert session.delay_s > 5.0


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


@pytest.mark.parametrize("error", UNEXPECTED)
def test_any_exception_of_a_source_thread_ends_the_session(error: BaseException) -> None:
    session, recorder, _ = session_of(RaisingSource(error))
    with pytest.raises(SessionError, match=f"the sound source .*{type(error).__name__}"):
        session.run()
    assert [f.index for f in recorder.frames] == list(range(30))
    assert recorder.closed == 1
    assert session.summary().frames == 30


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
