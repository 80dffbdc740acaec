"""Receivers: one that fails is told at once and leaves the others alone."""

import pytest

from engine.errors import ExportError, GestureError
from engine.events import LOST_DEVICE, EventCounter
from engine.motion.pose import PoseFormat, PoseFrame
from engine.session.receivers import Receivers


class Sink:
    """Takes `good` frames, then raises."""

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


class Room:
    def __init__(self, *sinks: Sink) -> None:
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
def test_a_lost_receiver_is_counted_and_told_and_the_others_go_on(error: Exception) -> None:
    lost, healthy = Sink(error, good=2), Sink()
    room = Room(lost, healthy)
    room.send(5)
    assert (len(lost.frames), len(healthy.frames)) == (2, 5)
    assert room.events.snapshot()[LOST_DEVICE] == 1
    assert room.failures == []
    (line,) = room.events.notes
    assert "Sink" in line
    assert str(error) in line


def test_without_any_receiver_left_the_session_ends() -> None:
    room = Room(Sink(OSError(28, "No space left")))
    room.send(2)
    ((error, _),) = room.failures
    assert isinstance(error, GestureError)
    assert "no other is left" in str(error)


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), KeyboardInterrupt()])
def test_anything_unforeseen_ends_the_session_after_the_others_were_served(
    error: BaseException,
) -> None:
    healthy = Sink()
    room = Room(Sink(error), healthy)
    room.send(3)
    assert room.failures == [(error, "receiver Sink")]
    assert len(healthy.frames) == 3


def test_all_are_closed() -> None:
    first, second = Sink(ValueError("odd")), Sink()
    room = Room(first, second)
    room.receivers.close()
    assert (first.closed, second.closed) == (1, 1)
    assert len(room.failures) == 1
