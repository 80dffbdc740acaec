"""Cadence sends frames in order when due, and all of them by the end."""

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


class InstantClock(SessionClock):
    """A clock on which waiting advances the time at once."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 50.0

    def now(self) -> float:
        return self.at

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.at += seconds
        return event.is_set()


class Rig:
    """A cadence that the test runs to its end."""

    def __init__(self, known: int | None = None) -> None:
        self.host, self.events, self.stopped = InstantClock(), EventCounter(), threading.Event()
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


def test_frames_are_sent_when_due() -> None:
    rig = Rig(known=4)
    rig.put(0, 1, 2, 3)
    rig.run()
    assert [index for index, _, _ in rig.sent] == [0, 1, 2, 3]
    for index, at, held in rig.sent:
        assert at == pytest.approx(50.0 + (index + 1) / 30 + DELAY_S, abs=1e-3)
        assert not held
    assert rig.cadence.made == 4


def test_a_missing_frame_is_held_and_counted() -> None:
    rig = Rig(known=3)
    rig.put(0, 2)
    rig.run()
    assert [(index, held) for index, _, held in rig.sent] == [(0, False), (1, True), (2, False)]
    assert rig.events.snapshot()[LATE_FRAME] == rig.telemetry.late == 1


def test_after_a_blocking_receiver_it_continues_at_the_current_time() -> None:
    rig = Rig(known=100)
    rig.host.at += 3.0
    rig.run()
    assert rig.events.snapshot()[OVERRUN] == 1
    assert rig.sent[0][0] == 86
    assert rig.sent[-1][0] == 99


def test_after_a_stop_remaining_frames_are_sent_at_once() -> None:
    rig = Rig()
    rig.put(0, 1, 2)
    rig.stopped.set()
    rig.run()
    assert rig.sent == []
    rig.cadence.end(3)
    rig.cadence.send_rest()
    assert [index for index, _, _ in rig.sent] == [0, 1, 2]
    assert rig.host.at == 50.0


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), KeyboardInterrupt()])
def test_any_exception_is_reported(error: BaseException) -> None:
    rig = Rig(known=2)

    def broken(_frame: PoseFrame) -> None:
        raise error

    rig.cadence._outlet = replace(rig.cadence._outlet, send=broken)
    rig.run()
    assert rig.failures == [error]
