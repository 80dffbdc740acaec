"""Stages of a hop, timers around them, and histograms of their times. No clock of its own."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from typing import Final

import numpy as np

_RECENT: Final = 512


class Timings:
    """Milliseconds of one stage: at most `most` evenly thinned values, so hours fit.

    All memory is allocated at the beginning, so a session does not grow. The newest values and the
    largest are kept exactly.
    """

    def __init__(self, most: int = 8192) -> None:
        self._values = np.zeros(most)
        self._newest: deque[float] = deque(maxlen=_RECENT)
        self._kept = 0
        self._every = 1
        self._seen = 0
        self._largest = -np.inf

    def add(self, value_ms: float) -> None:
        """Add one value."""
        self._newest.append(value_ms)
        self._largest = max(self._largest, value_ms)
        if self._seen % self._every == 0:
            self._values[self._kept] = value_ms
            self._kept += 1
            if self._kept == len(self._values):
                thinned = self._values[::2].copy()
                self._kept = len(thinned)
                self._values[: self._kept] = thinned
                self._every *= 2
        self._seen += 1

    def recent(self, count: int) -> list[float]:
        """The newest values, at most 512."""
        return list(self._newest)[-count:]

    def summary(self) -> dict[str, float] | None:
        """p50, p95, p99 and max in milliseconds, None before the first value."""
        found = percentiles(self._values[: self._kept].tolist())
        return found and found | {"max": round(float(self._largest), 3)}


class Stage(StrEnum):
    """Stages of a hop, in order; features for every audio block, send for every frame.

    For a fused step, kernel is the whole graph, choose is the drawing of the noise, and decode does
    not occur.
    """

    FEATURES = "features"
    KERNEL = "kernel"
    CHOOSE = "choose"
    DECODE = "decode"
    EMIT = "emit"
    SEND = "send"


StageTimer = Callable[[Stage], AbstractContextManager[None]]
"""Context manager around a stage, given the stage."""

_NOTHING: Final = nullcontext()


def no_timer(_stage: Stage) -> AbstractContextManager[None]:
    """No-op stage timer."""
    return _NOTHING


class StageTimings:
    """Times of each stage, measured by `watch`. now: seconds of any clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._timings = {stage: Timings() for stage in Stage}

    @contextmanager
    def watch(self, stage: Stage) -> Iterator[None]:
        """Time the body of the with statement."""
        begin = self._now()
        yield
        self._timings[stage].add((self._now() - begin) * 1000)

    def summary(self) -> dict[str, dict[str, float] | None]:
        """p50, p95, p99 and max of each stage in milliseconds."""
        return {str(stage): timings.summary() for stage, timings in self._timings.items()}


def percentiles(values: list[float]) -> dict[str, float] | None:
    """p50, p95, p99 and max, rounded to a microsecond; None without values."""
    if not values:
        return None
    names = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(values, at)), 3) for name, at in names.items()}
