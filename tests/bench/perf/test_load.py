"""StreamLoad with a simulated clock: the figures it counts and its verdict."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from bench.perf import load
from bench.perf.load import LoadResult, StreamLoad, joined
from engine.generate.schedule import Schedule
from engine.motion.pose import PoseChunk
from engine.stream.pool import StreamPool
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle


class Clock:
    """Replaces the module time: every reading takes 0.1 ms, sleeping takes no time."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-4
        return self.now

    def process_time(self) -> float:
        return self.now / 2

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def run(monkeypatch: pytest.MonkeyPatch, batch_s: float) -> LoadResult:
    """A run on a machine that takes `batch_s` for a batch."""
    clock, step = Clock(), StreamPool.step

    def slow(pool: StreamPool, slots: Sequence[int] | None = None) -> dict[int, PoseChunk]:
        clock.now += batch_s
        return step(pool, slots)

    monkeypatch.setattr(load, "time", clock)
    monkeypatch.setattr(load, "gc", SimpleNamespace(collect=int, freeze=int, unfreeze=int))
    monkeypatch.setattr(StreamPool, "step", slow)
    streams = StreamLoad(tiny_bundle(), 3, babble(2.0), schedule=Schedule(24, 16, 2))
    streams.warm_up()
    return streams.run(1.0)


def test_every_frame_is_counted_once_where_the_machine_keeps_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = run(monkeypatch, 0.0)
    assert seen.passed
    assert seen.held == seen.missed == 0
    assert 3 * 28 <= len(seen.latency_ms) <= 3 * 32
    # The second frame of a hop is computed when its packet has come, the first a frame later.
    assert np.percentile(seen.latency_ms, 1) < 12
    assert 33 < max(seen.latency_ms) < 48
    assert seen.cores == pytest.approx(0.5, abs=0.1)


def test_a_machine_that_is_too_slow_holds_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch takes 90 ms, a hop lasts 67."""
    seen = run(monkeypatch, 0.09)
    assert seen.held > 0
    assert not seen.passed
    assert seen.missed > seen.held


def test_figures_of_a_run() -> None:
    a = LoadResult(2, [10.0, 20.0, 120.0], held=1, cores=0.5)
    a.batches.update([2, 2, 1])
    b = LoadResult(1, [30.0], cores=0.25)
    b.batches.update([1])
    both = joined([a, b])
    row = both.row()
    assert (row["streams"], row["frames"], row["missed"], row["held"]) == (3, 5, 2, 1)
    assert (row["cores"], row["batch"], row["passed"]) == (0.75, 1.5, False)
    assert b.passed
    assert not LoadResult(1).passed
