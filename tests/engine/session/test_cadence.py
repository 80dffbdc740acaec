"""Cadence: frames leave in order when due, and all of them by the end."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.events import LATE_FRAME, OVERRUN, EventCounter
from engine.motion.pose import FrameFlag, PoseFrame
from engine.motion.rotation import identity
from engine.session.cadence import Cadence, Outlet
from engine.session.clock import SessionClock, SessionTime
from engine.session.media_clock import MediaClock
from engine.session.playout_delay import PlayoutDelay
from engine.session.telemetry import Telemetry

ZEROS = np.zeros(60, np.float32)
REST = PoseFrame(0, 0, identity(55), ZEROS[:3], ZEROS[:4], ZEROS[:51])
DELAY_S = 0.1


class Passing(SessionClock):
    """Waiting makes the time pass, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 50.0

    def now(self) -> float:
        return self.at

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.at += seconds
        return event.is_set()


class Room:
    """A cadence whose thread is the test's own."""

    def __init__(self, known: int | None = None) -> None:
        self.host, self.events, self.stopped = Passing(), EventCounter(), threading.Event()
        self.sent: list[tuple[int, float, bool]] = []
        self.failures: list[BaseException] = []
        self.media_clock, time = MediaClock(stamped=False), SessionTime(self.host)
        self.media_clock.begin(self.host.at)
        self.telemetry = Telemetry(time.now)
        outlet = Outlet(
            FrameClock(),
            self.events,
            self.stopped,
            send=self.send,
            failed=self.failures.append,
            total=lambda: known,
        )
        delay = PlayoutDelay(0.0, DELAY_S, DELAY_S)
        self.cadence = Cadence(REST, self.media_clock, delay, outlet, time, self.telemetry)

    def send(self, frame: PoseFrame) -> None:
        self.sent.append((frame.index, self.host.at, bool(frame.flags & FrameFlag.HELD)))

    def put(self, *indices: int) -> None:
        self.cadence.put([replace(REST, index=index) for index in indices])

    def run(self) -> None:
        self.cadence.start()
        assert self.cadence.join(60)


def test_frames_leave_when_due() -> None:
    room = Room(known=4)
    room.put(0, 1, 2, 3)
    room.run()
    assert [index for index, _, _ in room.sent] == [0, 1, 2, 3]
    for index, at, held in room.sent:
        assert at == pytest.approx(50.0 + (index + 1) / 30 + DELAY_S, abs=1e-3)
        assert not held
    assert room.cadence.made == 4


def test_a_frame_that_is_not_there_is_held_and_counted() -> None:
    room = Room(known=3)
    room.put(0, 2)
    room.run()
    assert [(index, held) for index, _, held in room.sent] == [(0, False), (1, True), (2, False)]
    assert room.events.snapshot()[LATE_FRAME] == room.telemetry.late == 1


def test_after_a_receiver_that_blocked_it_goes_on_from_now() -> None:
    room = Room(known=100)
    room.host.at += 3.0
    room.run()
    assert room.events.snapshot()[OVERRUN] == 1
    assert room.sent[0][0] == 86
    assert room.sent[-1][0] == 99


def test_after_a_stop_the_rest_leaves_at_once() -> None:
    room = Room()
    room.put(0, 1, 2)
    room.stopped.set()
    room.run()
    assert room.sent == []
    room.cadence.end(3)
    room.cadence.send_rest()
    assert [index for index, _, _ in room.sent] == [0, 1, 2]
    assert room.host.at == 50.0


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), KeyboardInterrupt()])
def test_an_exception_of_any_kind_is_told(error: BaseException) -> None:
    room = Room(known=2)

    def broken(_frame: PoseFrame) -> None:
        raise error

    room.cadence._outlet = replace(room.cadence._outlet, send=broken)
    room.run()
    assert room.failures == [error]
