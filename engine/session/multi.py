"""PoolSession: a StreamPool in real time. One thread takes the input and computes for all streams.

Streams are opened and closed from any thread. A frame is due `delay_s` after its audio was
captured; a DeadlineScheduler plans which streams are computed when. Chunks are passed on as soon as
they are computed: the receiver keeps a steady cadence by their frame numbers. Missing audio is
replaced by silence, so that the avatar goes on.
"""

import math
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio import SAMPLE_RATE
from engine.errors import as_gesture_error
from engine.events import LATE_FRAME, LOST_DEVICE, UNDERRUN, EventCounter
from engine.motion.pose import PoseChunk
from engine.session.clock import SessionClock
from engine.session.media_clock import MediaClock
from engine.session.messages import AudioIn, Cancel, End, Message, WordsIn
from engine.stream.pool import StreamPool
from engine.stream.scheduler import DeadlineScheduler, Job
from engine.text.words import TimedWord

FrameCallback = Callable[[PoseChunk], None]
"""Takes the frames of one stream; must not block, since all other streams wait."""

_IDLE_S: Final = 0.002  # between two rounds without anything to compute
_WARM_UP_HOPS: Final = 3


@dataclass
class StreamHandle:
    """One stream of a session.

    Attributes:
        slot: its number in the pool.
        deliver: takes its frames.
        held: frames that repeat the last pose because they were too late to compute.
        over: set once the last frame was delivered, or `error` ended the stream.
        error: exception of its input, its `deliver` or the session.

    """

    slot: int
    deliver: FrameCallback
    held: int = 0
    over: Event = field(default_factory=Event)
    error: BaseException | None = None
    _media_clock: MediaClock = field(default_factory=lambda: MediaClock(stamped=False))
    _ended: bool = False


class PoolSession:
    """Runs `pool` from `start` to `stop`. delay_s: from the capture of a frame until it is due.

    Faults of real time are counted in `events`. An exception in the input or `deliver` of a stream
    ends that stream, counted as LOST_DEVICE; an exception of the pool ends the session: all streams
    are over, and every later call raises a GestureError.
    """

    def __init__(
        self,
        pool: StreamPool,
        *,
        events: EventCounter,
        delay_s: float = 0.1,
        host: SessionClock | None = None,
    ) -> None:
        self.delay_s = delay_s
        self._pool, self._events = pool, events
        self._host = host or SessionClock()
        self._scheduler = DeadlineScheduler(pool.capacity)
        self._streams: dict[int, StreamHandle] = {}
        self._inbox: queue.SimpleQueue[tuple[StreamHandle, Message]] = queue.SimpleQueue()
        self._lock = Lock()  # of the pool and the streams
        self._stopped = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="emage-pool", daemon=True)

    # -- from any thread -----------------------------------------------------------------------

    def warm_up(self) -> None:
        """Compute batches of several sizes, so that the first hops cost what later ones do.

        To be called before any stream is open.
        """
        capacity = self._pool.capacity
        silence = np.zeros(self._pool.first_hop_samples, np.float32)
        for size in sorted({1, 2, *(capacity * part // 4 for part in (1, 2, 3, 4))} - {0}):
            slots = [self._pool.open() for _ in range(min(size, capacity))]
            for _ in range(_WARM_UP_HOPS):
                for slot in slots:
                    self._pool.feed_audio(slot, silence)
                self._step(slots)
            for slot in slots:
                self._pool.close(slot)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch that is being computed; streams get no more frames."""
        self._stopped.set()
        self._thread.join()
        self._check()

    def open(self, deliver: FrameCallback, speaker: int | str = 0, seed: int = 0) -> StreamHandle:
        """A new stream; ConfigError for an unknown speaker, or if the pool is full."""
        self._check()
        with self._lock:
            stream = StreamHandle(self._pool.open(speaker, seed), deliver)
            self._streams[stream.slot] = stream
        return stream

    def close(self, stream: StreamHandle) -> None:
        """Stop the frames of this stream at once. Safe to call twice, and when it is over."""
        with self._lock:
            self._close(stream)

    def feed_audio(
        self, stream: StreamHandle, samples: NDArray[np.float32], captured_at: float | None = None
    ) -> None:
        """Samples `[S]` at the pool's rate; captured_at: of the last one, now unless given."""
        now = self._host.now() if captured_at is None else captured_at
        self._send(stream, AudioIn(samples, now))

    def feed_words(self, stream: StreamHandle, words: Sequence[TimedWord]) -> None:
        """Words, late or early, in seconds of the stream."""
        self._send(stream, WordsIn(tuple(words)))

    def cancel(self, stream: StreamHandle) -> None:
        """Stop speaking at once; the motion settles."""
        self._send(stream, Cancel())

    def finish(self, stream: StreamHandle) -> None:
        """End the audio: the last frames follow, then the stream is over."""
        self._send(stream, End())

    def _send(self, stream: StreamHandle, message: Message) -> None:
        self._check()
        self._inbox.put((stream, message))

    def _check(self) -> None:
        if self._error is not None:
            raise as_gesture_error(self._error, "the session of many streams")

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                if not self.advance():
                    self._host.wait(self._stopped, _IDLE_S)
        except BaseException as error:  # of any kind: no stream may wait for ever
            with self._lock:
                self._error = error
                self._stopped.set()
                for stream in self._streams.values():
                    stream.error = error
                    stream.over.set()

    def advance(self) -> bool:
        """One round: take the input, then compute or hold one batch; False if none was ready.

        Called by the thread of `start`, or by a caller that has its own loop.
        """
        with self._lock:
            self._drain_inbox()
            busy = self._compute()
            self._reap_finished()
        return busy

    def _drain_inbox(self) -> None:
        while not self._inbox.empty():
            stream, message = self._inbox.get()
            if self._streams.get(stream.slot) is stream:  # else it was closed meanwhile
                try:
                    self._handle(stream, message)
                except Exception as error:  # such as audio of the wrong shape
                    self._end(stream, error)
        now = self._host.now()
        for stream in self._streams.values():
            missing = 0 if stream._ended else stream._media_clock.overdue_samples(now)
            if missing:
                self._events.count(UNDERRUN)
                self._pool.feed_audio(stream.slot, np.zeros(missing, np.float32))
                stream._media_clock.advance(missing, math.nan)

    def _handle(self, stream: StreamHandle, message: Message) -> None:
        match message:
            case AudioIn(samples, captured_at):
                if not stream._media_clock.started:
                    stream._media_clock.begin(captured_at - len(samples) / SAMPLE_RATE)
                self._pool.feed_audio(stream.slot, samples)
                stream._media_clock.advance(len(samples), captured_at)
            case WordsIn(words):
                self._pool.feed_words(stream.slot, words)
            case Cancel():
                self._pool.cancel(stream.slot)
            case End():
                if not stream._ended:
                    stream._ended = True
                    self._pool.finish(stream.slot)

    def _compute(self) -> bool:
        jobs = [self._job(each) for slot, each in self._streams.items() if self._pool.ready(slot)]
        plan = self._scheduler.plan(jobs, len(self._streams), self._host.now())
        if plan.drop:
            held = self._pool.skip(plan.drop)
            for slot, chunk in held.items():
                self._streams[slot].held += len(chunk)
                self._events.count(LATE_FRAME, len(chunk))
            self._deliver(held)
        if plan.compute:
            self._deliver(self._step(plan.compute))
        return bool(plan.drop or plan.compute)

    def _step(self, slots: Sequence[int]) -> dict[int, PoseChunk]:
        begin = self._host.now()
        chunks = self._pool.step(slots)
        self._scheduler.cost.update(len(slots), self._host.now() - begin)
        return chunks

    def _job(self, stream: StreamHandle) -> Job:
        first = self._pool.next_frame(stream.slot)
        deadline_s, drop_deadline_s = (
            stream._media_clock.captured_s(self._pool.clock.first_sample(frame + 1)) + self.delay_s
            for frame in (first, first + self._pool.schedule.hop - 1)
        )
        return Job(stream.slot, deadline_s, drop_deadline_s)

    def _deliver(self, chunks: dict[int, PoseChunk]) -> None:
        for slot, chunk in chunks.items():
            stream = self._streams[slot]
            try:
                stream.deliver(chunk)
            except BaseException as error:
                self._end(stream, error)

    def _end(self, stream: StreamHandle, error: BaseException) -> None:
        self._events.count(LOST_DEVICE)
        stream.error = error
        self._close(stream)
        stream.over.set()

    def _reap_finished(self) -> None:
        for stream in [each for slot, each in self._streams.items() if self._pool.is_over(slot)]:
            self._close(stream)
            stream.over.set()

    def _close(self, stream: StreamHandle) -> None:
        if self._streams.get(stream.slot) is stream:
            del self._streams[stream.slot]
            self._pool.close(stream.slot)
            self._scheduler.forget(stream.slot)
