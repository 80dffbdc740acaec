"""SourceReader: sound of files is handed on when due; the first sample's time is fixed."""

import math
import threading
import time
from collections.abc import Iterator

import numpy as np

from engine.audio.block import PcmBlock
from engine.errors import AudioError
from engine.pace import Pace
from engine.reader import SourceReader


class Given:
    """Gives ready-made blocks, at once."""

    sample_rate = 16000

    delay_s = 0.0

    def __init__(self, blocks: list[PcmBlock], paced: bool = False) -> None:
        self.given, self.paced = blocks, paced

    def blocks(self) -> Iterator[PcmBlock]:
        yield from self.given

    def close(self) -> None:
        pass


def read(source: Given) -> tuple[SourceReader, Pace, list[tuple[int, float]]]:
    pace, ended = Pace(stamped=source.paced), threading.Event()
    taken: list[tuple[int, float]] = []
    reader = SourceReader(
        source,
        pace,
        threading.Event(),
        take=lambda samples, _: taken.append((len(samples), time.monotonic())),
        ended=ended.set,
    )
    reader.start()
    assert ended.wait(10)
    return reader, pace, taken


def silence(samples: int, captured_at: float = math.nan) -> PcmBlock:
    return PcmBlock(np.zeros(samples, np.float32), captured_at)


def test_a_file_is_handed_on_no_sooner_than_heard() -> None:
    reader, pace, taken = read(Given([silence(1600), silence(1600)]))
    assert reader.end == 3200
    heard = 0
    for count, at in taken:
        heard += count
        assert at >= pace.heard_s(heard) - 1e-6


def test_a_pipe_that_was_full_and_goes_on_at_once_is_a_file() -> None:
    now = time.monotonic()
    _, pace, _ = read(Given([silence(8000, now)]))
    assert pace.origin_s >= now - 0.01


def test_a_first_short_block_was_heard_just_now() -> None:
    now = time.monotonic()
    _, pace, _ = read(Given([silence(320, now)]))
    assert pace.origin_s == now - 0.02


def test_a_failing_source_ends_and_keeps_its_error() -> None:
    class Broken(Given):
        def blocks(self) -> Iterator[PcmBlock]:
            yield silence(160)
            raise AudioError("gone")

    reader, _, _ = read(Broken([]))
    assert reader.end == 160
    assert str(reader.error) == "gone"
