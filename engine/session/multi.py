"""PoolSession: a StreamPool in real time. One thread hears and computes for all streams.

Guests come and go from any thread. A frame is due `delay_s` after its sound was heard; which
streams are computed when is planned by a Batcher, and frames are handed over by chunk as soon as
they are there: a steady cadence is left to the receiver, who knows their numbers. Where sound stays
away, silence takes its place and the avatar goes on.
"""

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
from engine.stream.pool import StreamPool
from engine.stream.scheduler import DeadlineScheduler, Job
from engine.text.words import TimedWord

Deliver = Callable[[PoseChunk], None]
"""Takes the frames of one stream as they come; must not block, for all others wait."""

_NAP_S: Final = 0.002  # between two looks at the sound when there is nothing to compute


@dataclass
class StreamHandle:
    """One stream of a session. held: its frames for which there was no time.

    over: set once its sound was finished and its last frame handed over, or `error` ended it.
    error: what its `deliver` or the session raised.
    """

    slot: int
    deliver: Deliver
    held: int = 0
    over: Event = field(default_factory=Event)
    error: BaseException | None = None
    _pace: MediaClock = field(default_factory=lambda: MediaClock(stamped=False))
    _finished: bool = False


class PoolSession:
    """Runs `pool` from `start` to `stop`. delay_s: by when a frame is wanted after its sound.

    Raises nothing for faults of real time: they are counted in `events`. What a guest's sound,
    words or `deliver` raise ends that guest's stream, counted as LOST_DEVICE; what the pool raises
    ends the session: all guests are over, and every later call raises a GestureError.
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
        self._batcher = DeadlineScheduler(pool.capacity)
        self._guests: dict[int, StreamHandle] = {}
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = Lock()  # of the pool and the guests
        self._stopped = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="emage-pool", daemon=True)

    # -- from any thread -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch that is being computed; guests get no more frames."""
        self._stopped.set()
        self._thread.join()
        self._check()

    def join(self, deliver: Deliver, speaker: int | str = 0, seed: int = 0) -> StreamHandle:
        """A new stream; ConfigError for an unknown speaker, or where the pool is full."""
        self._check()
        with self._lock:
            guest = StreamHandle(self._pool.open(speaker, seed), deliver)
            self._guests[guest.slot] = guest
        return guest

    def leave(self, guest: StreamHandle) -> None:
        """No more frames of this stream, at once. Safe to call twice, and when it is over."""
        with self._lock:
            self._close(guest)

    def feed_audio(self, guest: StreamHandle, samples: NDArray[np.float32]) -> None:
        """Sound `[S]` at the pool's rate, just heard or earlier than it is due."""
        heard_s = self._host.now()
        self._send(guest, lambda: self._hear(guest, samples, heard_s))

    def feed_words(self, guest: StreamHandle, words: Sequence[TimedWord]) -> None:
        """Words, late or early, in seconds of the stream."""
        self._send(guest, lambda: self._pool.feed_words(guest.slot, words))

    def cancel(self, guest: StreamHandle) -> None:
        """Stop speaking at once; the motion settles."""
        self._send(guest, lambda: self._pool.cancel(guest.slot))

    def finish(self, guest: StreamHandle) -> None:
        """The sound is complete: the last frames come, then the stream ends."""
        self._send(guest, lambda: self._finish(guest))

    # -- the thread ----------------------------------------------------------------------------

    def _send(self, guest: StreamHandle, act: Callable[[], None]) -> None:
        """Have something done to a guest in its turn, unless it is gone by then."""
        self._check()
        self._inbox.put(lambda: self._do(guest, act))

    def _do(self, guest: StreamHandle, act: Callable[[], None]) -> None:
        if self._guests.get(guest.slot) is guest:
            try:
                act()
            except Exception as error:  # such as sound of the wrong shape
                self._end(guest, error)

    def _end(self, guest: StreamHandle, error: BaseException) -> None:
        self._events.count(LOST_DEVICE)
        guest.error = error
        self._close(guest)
        guest.over.set()

    def _check(self) -> None:
        if self._error is not None:
            raise as_gesture_error(self._error, "the session of many streams")

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # of any kind: the guests must not wait for ever
            with self._lock:
                self._error = error
                self._stopped.set()
                for guest in self._guests.values():
                    guest.error = error
                    guest.over.set()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                self._take_in()
                busy = self._advance()
                self._see_off()
            if not busy:
                self._host.wait(self._stopped, _NAP_S)

    def _take_in(self) -> None:
        while not self._inbox.empty():
            self._inbox.get()()
        now = self._host.now()
        for guest in self._guests.values():
            if guest._pace.started and not guest._finished:
                self._fill_gap(guest, guest._pace.missing(now))

    def _hear(self, guest: StreamHandle, samples: NDArray[np.float32], heard_s: float) -> None:
        if not guest._pace.started:
            guest._pace.begin(heard_s - len(samples) / SAMPLE_RATE)
        self._pool.feed_audio(guest.slot, samples)
        guest._pace.take(len(samples), heard_s)

    def _fill_gap(self, guest: StreamHandle, missing: int) -> None:
        if missing:
            self._events.count(UNDERRUN)
            self._pool.feed_audio(guest.slot, np.zeros(missing, np.float32))
            guest._pace.take(missing, float("nan"))

    def _finish(self, guest: StreamHandle) -> None:
        if not guest._finished:
            guest._finished = True
            self._pool.finish(guest.slot)

    def _advance(self) -> bool:
        """Compute one batch, or hold what is lost; False where nothing waited."""
        jobs = [self._job(guest) for slot, guest in self._guests.items() if self._pool.ready(slot)]
        now = self._host.now()
        plan = self._batcher.plan(jobs, len(self._guests), now)
        if plan.hold:
            self._hold(plan.hold)
        if plan.compute:
            chunks = self._pool.step(plan.compute)
            self._batcher.cost.learn(len(plan.compute), self._host.now() - now)
            self._hand_over(chunks)
        return bool(plan.hold or plan.compute)

    def _job(self, guest: StreamHandle) -> Job:
        first = self._pool.next_frame(guest.slot)
        last = first + self._pool.schedule.hop - 1
        due_s, lost_s = (
            guest._pace.heard_s(self._pool.clock.first_sample(frame + 1)) + self.delay_s
            for frame in (first, last)
        )
        return Job(guest.slot, due_s, lost_s)

    def _hold(self, slots: Sequence[int]) -> None:
        held = self._pool.skip(slots)
        for slot, chunk in held.items():
            self._guests[slot].held += len(chunk)
            self._events.count(LATE_FRAME, len(chunk))
        self._hand_over(held)

    def _hand_over(self, chunks: dict[int, PoseChunk]) -> None:
        for slot, chunk in chunks.items():
            guest = self._guests[slot]
            try:
                guest.deliver(chunk)
            except BaseException as error:
                self._end(guest, error)

    def _see_off(self) -> None:
        for guest in [g for slot, g in self._guests.items() if self._pool.is_over(slot)]:
            self._close(guest)
            guest.over.set()

    def _close(self, guest: StreamHandle) -> None:
        if self._guests.get(guest.slot) is guest:
            del self._guests[guest.slot]
            self._pool.close(guest.slot)
            self._batcher.forget(guest.slot)
