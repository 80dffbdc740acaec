"""Session clock with a speed factor, and session time without pauses."""

from threading import Event

import pytest

from engine.session import clock as clock_module
from engine.session.clock import SessionClock, SessionTime


class RecordingEvent(Event):
    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.timeouts.append(timeout)
        return self.is_set()


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_time_passes_at_the_given_speed(monkeypatch: pytest.MonkeyPatch, speed: float) -> None:
    real = iter([10.0, 10.5])
    monkeypatch.setattr(clock_module.time, "monotonic", lambda: next(real))
    host = SessionClock(speed)
    begin = host.now()
    assert host.now() - begin == pytest.approx(0.5 * speed)


def test_waits_are_shortened_by_the_speed() -> None:
    event = RecordingEvent()
    assert not SessionClock(4.0).wait(event, 2.0)
    event.set()
    assert SessionClock().wait(event, 2.0)
    assert event.timeouts == [0.5, 2.0]


class ManualClock(SessionClock):
    """A clock that the test sets."""

    def __init__(self, at: float = 100.0, speed: float = 1.0) -> None:
        super().__init__(speed)
        self.at = at

    def now(self) -> float:
        return self.at


def test_pauses_of_the_process_are_excluded() -> None:
    host, pauses = ManualClock(), []
    time = SessionTime(host, pauses.append)
    time.watch()
    host.at = 100.4
    assert time.now() == pytest.approx(100.4)
    host.at = 105.4
    assert time.now() == time.resumed_s == pytest.approx(100.4)
    host.at = 105.5
    assert time.now() == pytest.approx(100.5)
    host.at = 108.5
    assert time.now() == pytest.approx(100.5)
    assert pauses == pytest.approx([5.0, 3.0])


def test_times_convert_between_host_and_session() -> None:
    host = ManualClock()
    time = SessionTime(host)
    time.watch()
    host.at = 105.0
    assert time.of(99.0) == 99.0, "captured before the pause"
    assert time.of(103.0) == time.resumed_s == 100.0, "during the pause"
    assert time.of(105.25) == 100.25
    assert time.of_host(100.25) == 105.25


def test_pauses_are_detected_only_while_watching() -> None:
    host, pauses = ManualClock(), []
    time = SessionTime(host, pauses.append)
    time.now()
    host.at = 200.0
    assert time.now() == 200.0
    assert pauses == []


def test_the_pause_threshold_scales_with_the_speed() -> None:
    host, pauses = ManualClock(speed=4.0), []
    time = SessionTime(host, pauses.append)
    time.watch()
    host.at += 1.9
    time.now()
    assert pauses == []
    host.at += 2.1
    time.now()
    assert pauses == pytest.approx([2.1])
