"""Pose receivers: a failing one is reported at once and does not affect the others."""

import pytest

from engine.errors import ExportError, GestureError
from engine.events import LOST_DEVICE, EventCounter
from engine.motion.pose import PoseFormat, PoseFrame
from engine.session.receivers import Receivers


class FakeSink:
    """Accepts `good` frames, then raises `error`."""

    def __init__(self, error: BaseException | None = None, good: int = 0) -> None:
        self.error, self.good = error, good
        self.frames: list[PoseFrame] = []
        self.closed = 0

    def open(self, fmt: PoseFormat) -> None:
        pass

    def send(self, frame: PoseFrame) -> None:
        if self.error is not None and len(self.frames) == self.good:
            raise self.error
        self.frames.append(frame)

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


class Rig:
    def __init__(self, *sinks: FakeSink) -> None:
        self.events = EventCounter()
        self.failures: list[tuple[BaseException, str]] = []
        self.receivers = Receivers(
            sinks,
            self.events,
            failed=lambda error, part: self.failures.append((error, part)),
        )

    def send(self, count: int) -> None:
        for number in range(count):
            self.receivers.send(number)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), ExportError("gone")])
def test_a_lost_receiver_is_counted_and_noted_and_others_continue(error: Exception) -> None:
    lost, healthy = FakeSink(error, good=2), FakeSink()
    rig = Rig(lost, healthy)
    rig.send(5)
    assert (len(lost.frames), len(healthy.frames)) == (2, 5)
    assert rig.events.snapshot()[LOST_DEVICE] == 1
    assert rig.failures == []
    (line,) = rig.events.notes
    assert "FakeSink" in line
    assert str(error) in line


def test_the_session_ends_after_the_last_receiver() -> None:
    rig = Rig(FakeSink(OSError(28, "No space left")))
    rig.send(2)
    ((error, _),) = rig.failures
    assert isinstance(error, GestureError)
    assert "no other is left" in str(error)


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), KeyboardInterrupt()])
def test_unexpected_errors_end_the_session_after_serving_the_others(
    error: BaseException,
) -> None:
    healthy = FakeSink()
    rig = Rig(FakeSink(error), healthy)
    rig.send(3)
    assert rig.failures == [(error, "receiver FakeSink")]
    assert len(healthy.frames) == 3


def test_all_receivers_are_closed() -> None:
    first, second = FakeSink(ValueError("odd")), FakeSink()
    rig = Rig(first, second)
    rig.receivers.close()
    assert (first.closed, second.closed) == (1, 1)
    assert len(rig.failures) == 1
