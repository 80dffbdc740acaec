"""Time that passes faster, told by a clock that is made up."""

from threading import Event

import pytest

from engine import host_time
from engine.host_time import HostTime


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
    host = HostTime(speed)
    begin = host.now()
    assert host.now() - begin == pytest.approx(0.5 * speed)


def test_waits_end_as_much_sooner() -> None:
    event = Waited()
    assert not HostTime(4.0).wait(event, 2.0)
    event.set()
    assert HostTime().wait(event, 2.0)
    assert event.asked == [0.5, 2.0]
