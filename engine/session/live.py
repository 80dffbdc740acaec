"""LiveSession: a GestureStream in real time.

Three threads: capture, computation (the caller's), and one that sends frames at a steady
cadence. A frame is sent `delay_s` after its audio was captured. An exception in any thread ends the
session.
"""

import gc
import math
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Event
from typing import Any, Final

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.audio.block import PcmBlock
from engine.audio.queue import QueueSource
from engine.audio.source import AudioSource
from engine.clock import FrameClock
from engine.errors import SessionError, as_gesture_error
from engine.events import PAUSE, UNDERRUN, EventCounter
from engine.motion.pose import PoseChunk, PoseFormat, PoseFrame, PoseSink
from engine.session.cadence import Cadence, Outlet
from engine.session.capture import CaptureThread
from engine.session.clock import SessionClock, SessionTime
from engine.session.media_clock import MediaClock
from engine.session.playout import FrameInterpolator
from engine.session.playout_delay import PlayoutDelay, first_delay, hop_cost
from engine.session.receivers import Receivers
from engine.session.receivers import SessionHooks as SessionHooks
from engine.stream.stream import GestureStream
from engine.text.words import TimedWord
from engine.timing import Figures, Stage, Summary

_STATS_EVERY: Final = 15  # frames
_LEAVE_S: Final = 1.0  # for a receiver to return once the session ends
_SOURCE: Final = "the sound source"
_SESSION: Final = "the live session"


class LiveSession:
    """Runs `source` through `stream` into `sinks` until the sound ends, `duration_s`, or `stop`.

    realtime: False computes as fast as possible, with the same poses. output_rate: frames per
    second sent to the sinks. host: clock of the session. Faults of real time are counted in
    `events`. An exception in a source, sink, hook or the model, in any thread, ends the session:
    the sinks get all frames of the earlier audio and are closed, then `run` raises a GestureError.
    So does a source without enough audio for one pose, if not in real time.
    """

    def __init__(
        self,
        stream: GestureStream,
        source: AudioSource,
        sinks: Sequence[PoseSink],
        *,
        events: EventCounter,
        bundle_name: str,
        realtime: bool = True,
        output_rate: int | None = None,
        duration_s: float | None = None,
        hooks: SessionHooks | None = None,
        host: SessionClock | None = None,
    ) -> None:
        clock = stream.clock
        self.output = FrameClock(clock.sample_rate, output_rate or clock.frame_rate)
        self._delay: PlayoutDelay | None = None
        self._fps = clock.frame_rate
        self._stream, self._source = stream, source
        self._events, self._realtime = events, realtime
        self._most = None if duration_s is None else int(duration_s * SAMPLE_RATE)
        self._hooks = hooks or SessionHooks()
        self._receivers = Receivers(sinks, events, failed=self.fail)
        self._inbox: queue.SimpleQueue[Callable[[], bool]] = queue.SimpleQueue()
        self._stopped = Event()
        self._host = SessionTime(host or SessionClock(), self._paused)
        self._figures = Figures(self._host.now)
        self._errors: list[BaseException] = []  # the first one ended the session
        self._computing = False
        self._pace = MediaClock(stamped=source.paced)
        self._reader = CaptureThread(
            source,
            self._pace,
            self._stopped,
            take=lambda piece, captured_at: self._inbox.put(self._taker(piece, captured_at)),
            ended=lambda: self._inbox.put(lambda: False),
            host=self._host,
        )
        self._interpolator = FrameInterpolator(clock, self.output)
        self._bundle_name = bundle_name

    @property
    def output_format(self) -> PoseFormat:
        """What the sinks are given."""
        return replace(self._stream.format, clock=self.output, hop=self._stream.schedule.hop)

    @property
    def delay_s(self) -> float:
        """Seconds from the capture of a frame's last sample until it is due; 0 before `prepare`."""
        return 0.0 if self._delay is None else self._delay.total_s

    def heard_s(self, sample: int) -> float:
        """When `sample` was recorded, in monotonic seconds; NaN before the stream has begun."""
        return self._host.of_host(self._pace.heard_s(sample))

    # -- from any thread -------------------------------------------------------------------------

    def stop(self) -> None:
        """End soon; the sinks get all frames of the sound that was received."""
        self._stopped.set()
        self._source.close()

    def fail(self, error: BaseException, part: str) -> None:
        """End soon; `run` raises `error`, or a SessionError that names the `part` it came from."""
        self._errors.append(as_gesture_error(error, part))
        self._stopped.set()
        self._attempt(self._source.close)

    def push_words(self, words: list[TimedWord]) -> None:
        """Words, late or early, in seconds of the stream."""

        def take() -> bool:
            self._stream.feed_words(words)
            for hook in self._hooks.words:
                hook(words)
            return True

        self._inbox.put(take)

    def cancel(self) -> None:
        """Stop speaking: what waits is dropped and the motion settles."""
        if isinstance(self._source, QueueSource):
            self._source.clear()

        def take() -> bool:
            self._stream.cancel()
            return True

        self._inbox.put(take)

    # -- running ---------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Warm up and decide the playout delay from what a hop costs on this machine."""
        outside_s = self._source.delay_s + self._interpolator.delay_frames / self._fps
        cost_s = hop_cost(self._stream, self._host.now, lambda s: self._host.wait(self._stopped, s))
        self._delay = first_delay(self._stream.latency, self._fps, cost_s, outside_s)
        gc.collect()
        gc.freeze()

    def run(self) -> Summary:
        """Run to the end and close the sinks; GestureError where something failed."""
        self._stream.set_timer(self._figures.stages.watch)
        self._attempt(self._run_live if self._realtime else self._run_flat_out)
        self._stopped.set()
        self._attempt(self._source.close)
        self._attempt(self._reader.join)
        gc.unfreeze()
        self._receivers.close()
        if self._errors:
            raise self._errors[0]
        return self.summary()

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do one step of the session; what it raises ends the session once the others were tried.

        An interruption of the caller's own thread, such as KeyboardInterrupt, stays what it is.
        """
        try:
            step()
        except Exception as error:
            self._errors.append(as_gesture_error(error, _SESSION))
            self._stopped.set()
        except BaseException as error:
            self._errors.append(error)
            self._stopped.set()

    def _paused(self, seconds: float) -> None:
        self._events.count(PAUSE)
        self._events.report(
            f"the process was stopped for {seconds:.1f} s; the stream goes on from now"
        )

    def _rest_frame(self) -> PoseFrame:
        scratch = self._stream.snapshot()
        self._stream.feed_audio(np.zeros(self._stream.first_hop_samples, np.float32))
        chunk = self._stream.drain()[0]
        self._stream.restore(scratch)
        return next(chunk.frames(self._stream.clock))

    def _run_flat_out(self) -> None:
        self._attempt(self._take_all)
        self._attempt(self._hand_over_rest)

    def _take_all(self) -> None:
        for block in self._blocks():
            self._handle_waiting()
            if self._stopped.is_set() or not self._feed(block.samples):
                break
            while (chunk := self._timed(self._stream.next_chunk)) is not None:
                self._hand_over(chunk)
        self._handle_waiting()

    def _blocks(self) -> Iterator[PcmBlock]:
        try:
            yield from self._source.blocks()
        except Exception as error:
            raise as_gesture_error(error, _SOURCE) from error

    def _hand_over_rest(self) -> None:
        if self._computing:  # that failed: the stream stands between two frames
            return
        if not self._stopped.is_set():
            self._stream.require_sound()
        begin = self._host.now()
        rest = self._stream.flush()
        self._figures.computed(self._host.now() - begin, hop=False)
        for chunk in rest:
            self._hand_over(chunk)

    def _handle_waiting(self) -> None:
        while not self._inbox.empty():
            if not self._inbox.get()():
                return

    def _hand_over(self, chunk: PoseChunk) -> None:
        for frame in self._output_frames(chunk):
            self._send(frame)

    def _output_frames(self, chunk: PoseChunk) -> list[PoseFrame]:
        frames = chunk.frames(self._stream.clock)
        return [out for frame in frames for out in self._interpolator.feed(frame)]

    def _send(self, frame: PoseFrame) -> None:
        with self._figures.stages.watch(Stage.SEND):
            self._receivers.send(frame)
        self._figures.frames += 1

    def _send_live(self, frame: PoseFrame) -> None:
        self._send(frame)
        if self._figures.frames % _STATS_EVERY == 0 and not self._stopped.is_set():
            stats = self.stats()
            for hook in self._hooks.stats:
                hook(stats)

    def _feed(self, samples: np.ndarray) -> bool:
        """Give samples to the stream and the taps; False when the wanted duration is reached."""
        first = self._pace.received
        if self._most is not None:
            samples = samples[: max(0, self._most - first)]
        self._pace.take(len(samples), math.nan)
        self._stream.feed_audio(samples)
        for tap in self._hooks.taps:
            tap(first, samples)
        return self._most is None or self._pace.received < self._most

    def _timed(self, compute: Callable[[], PoseChunk | None]) -> PoseChunk | None:
        begin = self._host.now()
        self._computing = True
        chunk = compute()
        self._computing = False
        self._figures.computed(self._host.now() - begin, hop=chunk is not None)
        return chunk

    # -- in real time ----------------------------------------------------------------------------

    def _run_live(self) -> None:
        if self._delay is None:
            self.prepare()
        assert self._delay is not None
        self._cadence = self._new_cadence(self._delay)
        self._host.watch()
        self._reader.start()
        self._cadence.start()
        self._attempt(self._compute_until_end)
        self._attempt(self._compute_rest)
        while not self._cadence.join(0.01) and not self._stopped.is_set():
            pass
        if self._reader.error is not None:
            self.fail(self._reader.error, _SOURCE)
        if not self._cadence.join(_LEAVE_S):
            raise SessionError(
                f"a receiver did not return within {_LEAVE_S:g} s; see whether its disk or network "
                "is still there"
            )
        self._cadence.hand_out_rest()

    def _new_cadence(self, delay: PlayoutDelay) -> Cadence:
        outlet = Outlet(
            send=self._send_live,
            failed=lambda error: self.fail(error, "handing out frames"),
            known=self._known_total,
        )
        return Cadence(
            self._rest_frame(),
            self.output,
            self._pace,
            outlet,
            delay=delay,
            stopped=self._stopped,
            host=self._host,
            events=self._events,
            figures=self._figures,
        )

    def _compute_until_end(self) -> None:
        while not self._stopped.is_set():
            try:
                more = self._inbox.get(timeout=0.02)()
            except queue.Empty:
                more = self._fill_gap()
            self._compute_ready()
            if not more:
                return
        self._handle_waiting()  # the sound that came before the end was asked for

    def _compute_rest(self) -> None:
        total = self._cadence.made
        try:
            if not self._computing:  # otherwise that failed: the stream stands between two frames
                self._put(self._stream.flush())
                total = self._total(self._pace.received)
        finally:
            self._cadence.end(total)

    def _known_total(self) -> int | None:
        ends = [end for end in (self._reader.end, self._most) if end is not None]
        return self._total(min(ends)) if ends else None

    def _total(self, samples: int) -> int:
        frames = self._stream.clock.frames_complete(samples)
        return self._interpolator.total(frames)

    def _taker(self, piece: np.ndarray, captured_at: float) -> Callable[[], bool]:
        def take() -> bool:
            more = self._feed(piece)
            self._pace.take(0, captured_at)
            return more

        return take

    def _compute_ready(self) -> None:
        while self._stream.ready and not self._stopped.is_set():
            last = self._stream.next_frame + self._stream.schedule.hop
            complete_s = self._pace.heard_s(self._stream.clock.first_sample(last))
            if self._host.now() > complete_s + self.delay_s:
                # Every frame of this hop is already too late: give the model a chance to catch up.
                chunk = self._stream.skip_chunk()
            else:
                chunk = self._timed(self._stream.next_chunk)
                self._observe_lag(complete_s)
            if chunk is not None:
                self._put([chunk])

    def _observe_lag(self, complete_s: float) -> None:
        """A hop whose sound was complete at `complete_s`, without look-ahead, was just computed."""
        assert self._delay is not None
        waited_s = self._stream.latency.lookahead_ms / 1000
        interpolated_s = self._interpolator.delay_frames / self._fps
        self._delay.observe(self._host.now() - complete_s - waited_s + interpolated_s)

    def _put(self, chunks: list[PoseChunk]) -> None:
        self._cadence.put([frame for chunk in chunks for frame in self._output_frames(chunk)])

    def _fill_gap(self) -> bool:
        """Put silence where sound is overdue, so that the avatar goes on."""
        if not self._pace.started:
            return True
        missing = self._pace.missing(self._host.now())
        if missing:
            self._events.count(UNDERRUN)
            self._reader.inserted += missing
            return self._feed(np.zeros(missing, np.float32))
        return True

    # -- what happened ---------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Recent figures for somebody who watches."""
        return {**self._figures.stats(), "events": self._events.snapshot()}

    def summary(self) -> Summary:
        """The whole session, or what it did before it failed."""
        latency = self._stream.latency
        playout_ms = self.delay_s * 1000 - latency.algorithmic_ms if self._realtime else 0.0
        return replace(
            self._figures.summary(
                self._bundle_name, self._pace.received / SAMPLE_RATE, self.output.frame_rate
            ),
            hop_frames=latency.hop_frames,
            lookahead_ms=round(latency.lookahead_ms, 3),
            hop_wait_ms=round(latency.hop_wait_ms, 3),
            playout_ms=round(playout_ms, 3),
            events=self._events.snapshot(),
        )
