"""Cadence: the thread that sends the frames of a live session, each when it is due.

A frame is due `delay.total_s` after its audio was complete.
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
from engine.session.telemetry import Telemetry

_FAR_BEHIND_S: Final = 1.0  # after a receiver that blocked: go on from now


@dataclass(frozen=True)
class Outlet:
    """Destination of the frames.

    Attributes:
        clock: output frames.
        events: counts late frames and overruns.
        stopped: set when the session ends.
        send: takes a frame.
        failed: called with the error that ended the thread.
        total: number of frames once the audio has ended or its end is known, else None.

    """

    clock: FrameClock
    events: EventCounter
    stopped: Event
    send: Callable[[PoseFrame], None]
    failed: Callable[[BaseException], None]
    total: Callable[[], int | None]


class Cadence:
    """Sends frames to `outlet` until all are out or `outlet.stopped` is set.

    rest: pose that a long gap eases into. made: frames that were put, counted from the first.
    """

    def __init__(
        self,
        rest: PoseFrame,
        media_clock: MediaClock,
        delay: PlayoutDelay,
        outlet: Outlet,
        time: SessionTime,
        telemetry: Telemetry,
    ) -> None:
        self._buffer = PlayoutBuffer(rest, outlet.clock)
        self._media_clock, self._delay, self._outlet = media_clock, delay, outlet
        self._time, self._telemetry = time, telemetry
        self._lock = Lock()
        self._total: int | None = None
        self._thread = Thread(target=self._run, name="emage-playout", daemon=True)
        self.made = 0

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
        """Limit the stream to `total` frames."""
        self._total = total

    def join(self, seconds: float) -> bool:
        """Wait for the thread, at most `seconds`; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def send_rest(self) -> None:
        """After the thread and `end`: send the remaining frames at once."""
        while self._total is not None and (index := self._buffer.next_index) < self._total:
            self._send_next(self._captured_s(index))

    def _run(self) -> None:
        try:
            while not self._outlet.stopped.is_set() and not self._is_over():
                self._send_due()
        except BaseException as error:  # of any kind: the session must end, and report it
            self._outlet.failed(error)

    def _is_over(self) -> bool:
        total = self._outlet.total() if self._total is None else self._total
        return total is not None and self._buffer.next_index >= total

    def _send_due(self) -> None:
        """Send the next frame if it is due, else wait for it."""
        now = self._time.now()
        if not self._media_clock.started:
            self._outlet.stopped.wait(0.002)
            return
        captured_s = self._captured_s(self._buffer.next_index)
        late_s = now - captured_s - self._delay.total_s
        if late_s < 0:
            self._time.wait(self._outlet.stopped, -late_s)
        elif late_s > _FAR_BEHIND_S:
            self._skip_to_now(late_s)
        else:
            self._telemetry.add_jitter(late_s)
            self._send_next(captured_s)
            self._delay.advance(1 / self._outlet.clock.frame_rate)

    def _captured_s(self, index: int) -> float:
        """When the audio of frame `index` was complete."""
        return self._media_clock.captured_s(self._outlet.clock.first_sample(index + 1))

    def _skip_to_now(self, behind_s: float) -> None:
        self._outlet.events.count(OVERRUN)
        with self._lock:
            self._buffer.skip(int(behind_s * self._outlet.clock.frame_rate))

    def _send_next(self, captured_s: float) -> None:
        with self._lock:
            due = self._buffer.take()
        if due.late:
            self._telemetry.late += 1
            self._outlet.events.count(LATE_FRAME)
        self._outlet.send(due.frame)
        self._telemetry.add_sent(captured_s)
