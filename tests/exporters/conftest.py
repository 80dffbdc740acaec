"""Fixtures of exporters: a format, distinct frames, and a control that records its calls."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.events import EventCounter
from engine.motion.pose import FrameFlag, PoseFormat, PoseFrame
from engine.motion.rotation import normalize
from exporters.websocket import WebSocketServer

MakeFrame = Callable[[int], PoseFrame]


def make(index: int, face_width: int = 51) -> PoseFrame:
    random = np.random.default_rng(index)
    return PoseFrame(
        index=index,
        sample=FrameClock().first_sample(index),
        rotations=normalize(random.normal(size=(55, 4)).astype(np.float32)),
        translation=np.array([index / 100, 1.28, -0.5], np.float32),
        contacts=random.random(4, np.float32),
        face=random.random(face_width, np.float32),
        flags=FrameFlag(index % 4),
    )


class Control:
    """A ControlSink that records its calls."""

    def __init__(self) -> None:
        self.log: list[tuple[object, ...]] = []
        self.refusal: Exception | None = None

    def push_audio(self, samples, rate):
        if self.refusal:
            raise self.refusal
        self.log.append(("audio", samples, rate))

    def push_words(self, words):
        self.log.append(("words", words))

    def cancel(self):
        self.log.append(("cancel",))

    def reset(self):
        self.log.append(("reset",))

    def end(self):
        self.log.append(("end",))


@pytest.fixture
def make_frame() -> Callable[..., PoseFrame]:
    return make


@pytest.fixture
def fmt() -> PoseFormat:
    return PoseFormat()


@pytest.fixture
def events() -> EventCounter:
    return EventCounter()


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
def server(fmt, control, events) -> Iterator[WebSocketServer]:
    """An open server on a free port."""
    result = WebSocketServer("127.0.0.1", 0, control=control, events=events)
    result.open(fmt)
    yield result
    result.close()
