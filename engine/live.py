"""LiveSession: a GestureStream in real time. Threads, queues and the playout clock live here.

Three threads: a SourceReader's, the caller's, which computes, and one that hands frames to the
receivers at a steady cadence. A frame leaves `delay_s` after its audio was heard, whatever the
computing did. Knows receivers only as PoseSinks, and nothing of sockets or files.
"""

import gc
import math
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Event, Lock, Thread
from typing import Any, Final

import numpy as np

from engine.audio.queue import QueueSource
from engine.audio.source import AudioSource
from engine.clock import FrameClock
from engine.events import LATE_FRAME, OVERRUN, UNDERRUN, EventCounter
from engine.host_time import HostTime
from engine.pace import RATE, Pace, margin_s
from engine.playout import FrameInterpolator, PlayoutBuffer
from engine.pose import PoseChunk, PoseFormat, PoseFrame, PoseSink
from engine.reader import SourceReader
from engine.statistics import Stage, StageTimings, Summary, Timings, percentiles
from engine.stream import GestureStream
from engine.text.words import TimedWord

AudioTap = Callable[[int, np.ndarray], None]
"""Called with the index of the first sample and the samples that were just taken."""

_WARM_UP_HOPS: Final = 12
_FAR_BEHIND_S: Final = 1.0  # after a suspended machine: go on from now
_STATS_EVERY: Final = 15  # frames


@dataclass
class SessionHooks:
    """Who else wants to know. taps: the sound as it is used. stats: twice a second."""

    taps: list[AudioTap] = field(default_factory=list)
    stats: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)
    words: list[Callable[[list[TimedWord]], None]] = field(default_factory=list)


class LiveSession:
    """Runs `source` through `stream` into `sinks` until the sound ends, `duration_s`, or `stop`.

    realtime False: as fast as it goes, with the same poses. output_rate: frames a second handed to
    the sinks. host: whose seconds it lives in. Raises nothing for faults of real time: they are
    counted in `events`; but not in real time AudioError where the sound is too short for any pose.
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
        host: HostTime | None = None,
    ) -> None:
        clock = stream.clock
        self.output = FrameClock(clock.sample_rate, output_rate or clock.frame_rate)
        self.delay_s = 0.0
        self._stream, self._source, self._sinks = stream, source, sinks
        self._events, self._realtime = events, realtime
        self._most = None if duration_s is None else int(duration_s * RATE)
        self._hooks = hooks or SessionHooks()
        self._inbox: queue.SimpleQueue[Callable[[], bool]] = queue.SimpleQueue()
        self._stopped, self._finished = Event(), Event()
        self._host = host or HostTime()
        self._stages = StageTimings(self._host.now)
        self._pace = Pace(stamped=source.paced)
        self._reader = SourceReader(
            source,
            self._pace,
            self._stopped,
            take=lambda piece, captured_at: self._inbox.put(self._taker(piece, captured_at)),
            ended=lambda: self._inbox.put(lambda: False),
            host=self._host,
        )
        self._interpolator = FrameInterpolator(clock, self.output)
        self._lock = Lock()
        self._latency, self._compute, self._jitter = Timings(), Timings(), Timings()
        self._compute_s = 0.0
        self._frames = self._late = 0
        self._first_out_s, self._last_out_s = math.nan, math.nan
        self._bundle_name = bundle_name

    @property
    def output_format(self) -> PoseFormat:
        """What the sinks are given."""
        return replace(self._stream.format, clock=self.output)

    def heard_s(self, sample: int) -> float:
        """When `sample` was recorded, in monotonic seconds; NaN before the stream has begun."""
        return self._pace.heard_s(sample)

    # -- from any thread -------------------------------------------------------------------------

    def stop(self) -> None:
        """End soon, keeping what was already computed."""
        self._stopped.set()
        self._source.close()

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
        scratch = self._stream.snapshot()
        hop_samples = self._stream.first_hop_samples
        costs = []
        for _ in range(_WARM_UP_HOPS):
            self._stream.feed_audio(np.zeros(hop_samples, np.float32))
            begin = self._host.now()
            self._stream.next_chunk()
            costs.append(self._host.now() - begin)
        self._stream.restore(scratch)
        latency = self._stream.latency
        fps = self._stream.clock.frame_rate
        # A hop that takes longer than itself cannot be waited for: more delay would not help.
        cost = min(sorted(costs[2:])[-2] * 1.25, latency.hop_frames / fps)
        playout_s = (
            cost + margin_s(cost) + self._source.delay_s + self._interpolator.delay_frames / fps
        )
        self.delay_s = latency.algorithmic_ms / 1000 + playout_s
        gc.collect()
        gc.freeze()

    def run(self) -> Summary:
        """Run to the end and close the sinks."""
        try:
            if self._realtime:
                if not self.delay_s:
                    self.prepare()
                self._buffer = PlayoutBuffer(self._rest_frame(), self.output)
            self._stream.watch(self._stages.watch)
            if self._realtime:
                self._run_live()
            else:
                self._run_flat_out()
        finally:
            self._stopped.set()
            self._source.close()
            self._reader.join()
            gc.unfreeze()
            for sink in self._sinks:
                sink.close()
        return self.summary()

    def _rest_frame(self) -> PoseFrame:
        scratch = self._stream.snapshot()
        self._stream.feed_audio(np.zeros(self._stream.first_hop_samples, np.float32))
        chunk = self._stream.drain()[0]
        self._stream.restore(scratch)
        return next(chunk.frames(self._stream.clock))

    def _run_flat_out(self) -> None:
        for block in self._source.blocks():
            self._handle_waiting()
            if self._stopped.is_set() or not self._feed(block.samples):
                break
            while (chunk := self._timed(self._stream.next_chunk)) is not None:
                self._hand_over(chunk)
        self._handle_waiting()
        if not self._stopped.is_set():
            self._stream.require_sound()
            begin = self._host.now()
            rest = self._stream.flush()
            self._compute_s += self._host.now() - begin
            for chunk in rest:
                self._hand_over(chunk)

    def _handle_waiting(self) -> None:
        while not self._inbox.empty():
            self._inbox.get()()

    def _hand_over(self, chunk: PoseChunk) -> None:
        for frame in self._output_frames(chunk):
            self._send(frame)

    def _output_frames(self, chunk: PoseChunk) -> list[PoseFrame]:
        frames = chunk.frames(self._stream.clock)
        return [out for frame in frames for out in self._interpolator.feed(frame)]

    def _send(self, frame: PoseFrame) -> None:
        with self._stages.watch(Stage.SEND):
            for sink in self._sinks:
                sink.send(frame)
        self._frames += 1

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
        chunk = compute()
        cost = self._host.now() - begin
        self._compute_s += cost
        if chunk is not None:
            self._compute.add(cost * 1000)
        return chunk

    # -- in real time ----------------------------------------------------------------------------

    def _run_live(self) -> None:
        playout = Thread(target=self._play_out, name="emage-playout", daemon=True)
        self._reader.start()
        playout.start()
        while not self._stopped.is_set():
            try:
                more = self._inbox.get(timeout=0.02)()
            except queue.Empty:
                more = self._fill_gap()
            self._compute_ready()
            if not more:
                break
        if not self._stopped.is_set():
            self._finish()
        self._stopped.set()
        self._source.close()
        playout.join(timeout=0.5)
        if self._reader.error is not None:
            raise self._reader.error

    def _finish(self) -> None:
        """Compute the rest and wait until it has been handed over."""
        self._put(self._stream.flush())
        self._finished.set()
        total = self._total(self._pace.received)
        while not self._stopped.is_set() and self._buffer.next_index < total:
            self._stopped.wait(0.005)

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
            due_s = self._pace.heard_s(self._stream.clock.first_sample(last)) + self.delay_s
            if self._host.now() > due_s:
                # Every frame of this hop is already too late: give the model a chance to catch up.
                chunk = self._stream.skip_chunk()
            else:
                chunk = self._timed(self._stream.next_chunk)
            if chunk is not None:
                self._put([chunk])

    def _put(self, chunks: list[PoseChunk]) -> None:
        frames = [frame for chunk in chunks for frame in self._output_frames(chunk)]
        with self._lock:
            for frame in frames:
                self._buffer.put(frame)

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

    # -- the playout thread ----------------------------------------------------------------------

    def _play_out(self) -> None:
        while not self._stopped.is_set():
            if not self._pace.started:
                self._stopped.wait(0.002)
                continue
            index = self._buffer.next_index
            if self._is_over(index):
                return
            heard_s = self._pace.heard_s(self.output.first_sample(index + 1))
            wait_s = heard_s + self.delay_s - self._host.now()
            if wait_s > 0 and self._host.wait(self._stopped, wait_s):
                return
            if -wait_s > _FAR_BEHIND_S:
                self._jump(-wait_s)
                continue
            self._hand_out(heard_s)

    def _is_over(self, index: int) -> bool:
        if self._finished.is_set():
            return index >= self._total(self._pace.received)
        ends = [end for end in (self._reader.end, self._most) if end is not None]
        return bool(ends) and index >= self._total(min(ends))

    def _jump(self, behind_s: float) -> None:
        skipped = int(behind_s * self.output.frame_rate)
        self._events.count(OVERRUN)
        with self._lock:
            self._buffer.skip(skipped)

    def _hand_out(self, heard_s: float) -> None:
        self._jitter.add((self._host.now() - heard_s - self.delay_s) * 1000)
        with self._lock:
            due = self._buffer.take()
        if due.late:
            self._late += 1
            self._events.count(LATE_FRAME)
        self._send(due.frame)
        now = self._host.now()
        self._latency.add((now - heard_s) * 1000)
        if math.isnan(self._first_out_s):
            self._first_out_s = now
        self._last_out_s = now
        if self._frames % _STATS_EVERY == 0:
            stats = self.stats()
            for hook in self._hooks.stats:
                hook(stats)

    # -- what happened ---------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Recent figures for somebody who watches."""
        return {
            "frames": self._frames,
            "late_frames": self._late,
            "audio_to_pose_ms": percentiles(self._latency.recent(300)),
            "compute_ms": percentiles(self._compute.recent(150)),
            "events": self._events.snapshot(),
        }

    def summary(self) -> Summary:
        """The whole session."""
        audio_s = self._pace.received / RATE
        latency = self._stream.latency
        span = self._last_out_s - self._first_out_s
        rate = (self._frames - 1) / span if span > 0 else float(self.output.frame_rate)
        return Summary(
            bundle=self._bundle_name,
            frames=self._frames,
            audio_s=round(audio_s, 3),
            rtf=round(self._compute_s / audio_s, 4) if audio_s else 0.0,
            hop_frames=latency.hop_frames,
            fps_out=round(rate, 3),
            lookahead_ms=round(latency.lookahead_ms, 3),
            hop_wait_ms=round(latency.hop_wait_ms, 3),
            playout_ms=round(self.delay_s * 1000 - latency.algorithmic_ms, 3)
            if self._realtime
            else 0.0,
            audio_to_pose_ms=self._latency.summary(),
            compute_ms=self._compute.summary(),
            jitter_ms=self._jitter.summary(),
            stages_ms=self._stages.summary(),
            late_frames=self._late,
            events=self._events.snapshot(),
        )
