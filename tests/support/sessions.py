"""Sessions of the tiny bundle with a fake source and a recording sink."""

import threading
import time
from collections.abc import Iterator

import numpy as np

from engine.audio.block import PcmBlock
from engine.events import EventCounter
from engine.kernels.from_bundle import staged_step
from engine.motion.pose import PoseFormat, PoseFrame
from engine.session.base import Session, SessionOptions
from engine.session.live import LiveSession
from engine.session.render import RenderSession
from engine.stream.stream import GestureStream
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle

BUNDLE = tiny_bundle()


UNEXPECTED = [ValueError("odd"), MemoryError(), SystemExit(3), KeyboardInterrupt()]


class FakeSource:
    """Yields blocks of one size; stall: delay in seconds by block number."""

    sample_rate = 16000
    paced = False
    delay_s = 0.0

    def __init__(
        self, samples: np.ndarray, block: int = 160, stall: dict[int, float] | None = None
    ) -> None:
        self.samples, self.block, self.stall = samples, block, stall or {}
        self.closed = threading.Event()

    def blocks(self) -> Iterator[PcmBlock]:
        for number, start in enumerate(range(0, len(self.samples), self.block)):
            if self.closed.wait(self.stall.get(number, 0.0)):
                return
            yield PcmBlock(self.samples[start : start + self.block])

    def close(self) -> None:
        self.closed.set()


class Recorder:
    def __init__(self) -> None:
        self.frames: list[PoseFrame] = []
        self.times: list[float] = []
        self.closed = 0

    def open(self, fmt: PoseFormat) -> None:
        pass

    def send(self, frame: PoseFrame) -> None:
        self.frames.append(frame)
        self.times.append(time.monotonic())

    def close(self) -> None:
        self.closed += 1


class RaisingSource(FakeSource):
    """A source that raises `error` after one second."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(babble(5.0))
        self.error = error

    def blocks(self) -> Iterator[PcmBlock]:
        for number, block in enumerate(super().blocks()):
            if number == 100:
                raise self.error
            yield block


def session_of(
    source, *, kernel=None, sinks=(), realtime=True, **options
) -> tuple[Session, Recorder, EventCounter]:
    recorder, events = Recorder(), EventCounter()
    step = None if kernel is None else staged_step(BUNDLE, kernel=kernel)
    stream = GestureStream(BUNDLE, step=step, events=events)
    kind = LiveSession if realtime else RenderSession
    session = kind(stream, source, [*sinks, recorder], SessionOptions(**options))
    return session, recorder, events


def numbers(frames: list[PoseFrame]) -> np.ndarray:
    return np.stack(
        [np.concatenate([f.rotations.ravel(), f.translation, f.contacts, f.face]) for f in frames]
    )
