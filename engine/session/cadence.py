"""Cadence: the thread that hands a live session's frames out, each when it is due.

A frame is due `delay.total_s` after its sound was complete. Knows the pace and what waits; how
frames are computed and who gets them is the session's business.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Final

from engine.clock import FrameClock
from engine.events import LATE_FRAME, OVERRUN, EventCounter
from engine.motion.pose import PoseFrame
from engine.session.clock import SessionTime
from engine.session.media_clock import MediaClock
from engine.session.playout import PlayoutBuffer
from engine.session.playout_delay import PlayoutDelay
from engine.timing import Figures

_FAR_BEHIND_S: Final = 1.0  # after a receiver that blocked: go on from now


@dataclass(frozen=True)
class Outlet:
    """Callbacks of a cadence. send: takes a frame. failed: called with what ended the thread.

    known: how many frames there are in all, once the sound has ended or its end is known.
    """

    send: Callable[[PoseFrame], None]
    failed: Callable[[BaseException], None]
    known: Callable[[], int | None]


class Cadence:
    """Hands frames to `outlet` until all are out or `stopped` is set."""

    def __init__(
        self,
        rest: PoseFrame,
        clock: FrameClock,
        pace: MediaClock,
        outlet: Outlet,
        *,
        delay: PlayoutDelay,
        stopped: Event,
        host: SessionTime,
        events: EventCounter,
        figures: Figures,
    ) -> None:
        self._buffer = PlayoutBuffer(rest, clock)
        self._clock, self._pace, self._outlet = clock, pace, outlet
        self._delay, self._stopped, self._host = delay, stopped, host
        self._events, self._figures = events, figures
        self._lock = Lock()
        self._total: int | None = None
        self._thread = Thread(target=self._run, name="emage-playout", daemon=True)
        self.made = 0  # frames that were put, counted from the first of the stream

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, frames: Sequence[PoseFrame]) -> None:
        """Add computed frames, in order."""
        with self._lock:
            for frame in frames:
                self._buffer.put(frame)
                self.made = frame.index + 1

    def end(self, total: int) -> None:
        """No more than `total` frames of the stream come."""
        self._total = total

    def join(self, seconds: float) -> bool:
        """Wait for the thread, at most `seconds`; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def hand_out_rest(self) -> None:
        """After the thread and `end`: what has not left yet leaves at once, not in its time."""
        while self._total is not None and (index := self._buffer.next_index) < self._total:
            self._hand_out(self._heard_s(index))

    def _run(self) -> None:
        try:
            while not self._stopped.is_set() and not self._is_over():
                self._go_on()
        except BaseException as error:  # of any kind: the session must end, and say why
            self._outlet.failed(error)

    def _is_over(self) -> bool:
        total = self._outlet.known() if self._total is None else self._total
        return total is not None and self._buffer.next_index >= total

    def _go_on(self) -> None:
        """Hand out the next frame if it is due, else wait for that."""
        now = self._host.now()
        if not self._pace.started:
            self._stopped.wait(0.002)
            return
        heard_s = self._heard_s(self._buffer.next_index)
        late_s = now - heard_s - self._delay.total_s
        if late_s < 0:
            self._host.wait(self._stopped, -late_s)
        elif late_s > _FAR_BEHIND_S:
            self._skip(late_s)
        else:
            self._figures.due(late_s)
            self._hand_out(heard_s)
            self._delay.advance(1 / self._clock.frame_rate)

    def _heard_s(self, index: int) -> float:
        return self._pace.heard_s(self._clock.first_sample(index + 1))

    def _skip(self, behind_s: float) -> None:
        self._events.count(OVERRUN)
        with self._lock:
            self._buffer.skip(int(behind_s * self._clock.frame_rate))

    def _hand_out(self, heard_s: float) -> None:
        with self._lock:
            due = self._buffer.take()
        if due.late:
            self._figures.late += 1
            self._events.count(LATE_FRAME)
        self._outlet.send(due.frame)
        self._figures.handed_over(heard_s)
