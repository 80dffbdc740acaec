"""Time that passes faster, told by a clock that is made up."""

from threading import Event

import pytest

from engine.session import clock as host_time
from engine.session.clock import SessionClock, SessionTime


class Waited(Event):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout)
        return self.is_set()


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_seconds_pass_at_the_speed(monkeypatch: pytest.MonkeyPatch, speed: float) -> None:
    real = iter([10.0, 10.5])
    monkeypatch.setattr(host_time.time, "monotonic", lambda: next(real))
    host = SessionClock(speed)
    begin = host.now()
    assert host.now() - begin == pytest.approx(0.5 * speed)


def test_waits_end_as_much_sooner() -> None:
    event = Waited()
    assert not SessionClock(4.0).wait(event, 2.0)
    event.set()
    assert SessionClock().wait(event, 2.0)
    assert event.asked == [0.5, 2.0]


class Told(SessionClock):
    """Time that the test tells."""

    def __init__(self, at: float = 100.0, speed: float = 1.0) -> None:
        super().__init__(speed)
        self.at = at

    def now(self) -> float:
        return self.at


def test_seconds_in_which_the_process_was_stopped_are_left_out() -> None:
    host, pauses = Told(), []
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


def test_moments_are_told_from_one_time_to_the_other() -> None:
    host = Told()
    time = SessionTime(host)
    time.watch()
    host.at = 105.0
    assert time.of(99.0) == 99.0, "captured before the pause"
    assert time.of(103.0) == time.resumed_s == 100.0, "during the pause"
    assert time.of(105.25) == 100.25
    assert time.of_host(100.25) == 105.25


def test_before_it_watches_nothing_is_a_pause() -> None:
    host, pauses = Told(), []
    time = SessionTime(host, pauses.append)
    time.now()
    host.at = 200.0
    assert time.now() == 200.0
    assert pauses == []


def test_half_a_second_is_by_the_clock_however_fast_the_host_lives() -> None:
    host, pauses = Told(speed=4.0), []
    time = SessionTime(host, pauses.append)
    time.watch()
    host.at += 1.9
    time.now()
    assert pauses == []
    host.at += 2.1
    time.now()
    assert pauses == pytest.approx([2.1])
