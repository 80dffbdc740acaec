"""Timings gathered while live, by stage or as a whole, and the summary of a session.

Nothing here looks at a clock: who measures brings one.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np

_RECENT: Final = 512


class Timings:
    """Milliseconds of one stage; keeps at most `most` evenly thinned values, so hours fit.

    All room is taken at the beginning: an hour later the session is as large as in its first
    minute. The newest values and the largest are kept as they are.
    """

    def __init__(self, most: int = 8192) -> None:
        self._values = np.zeros(most)
        self._newest: deque[float] = deque(maxlen=_RECENT)
        self._kept = 0
        self._every = 1
        self._seen = 0
        self._largest = -np.inf

    def add(self, value_ms: float) -> None:
        """Note one value."""
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

    Of a hop that is computed as one graph, kernel is all of it, choose the drawing of the noise
    alone, and decode does not occur.
    """

    FEATURES = "features"
    KERNEL = "kernel"
    CHOOSE = "choose"
    DECODE = "decode"
    EMIT = "emit"
    SEND = "send"


Watch = Callable[[Stage], AbstractContextManager[None]]
"""Around each stage: a way to look on from outside."""

_NOTHING: Final = nullcontext()


def no_timer(_stage: Stage) -> AbstractContextManager[None]:
    """Nobody looks on."""
    return _NOTHING


class StageTimings:
    """Time of each stage; `watch` is the Watch. now: seconds of any clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._timings = {stage: Timings() for stage in Stage}

    @contextmanager
    def watch(self, stage: Stage) -> Iterator[None]:
        """Time what is done inside."""
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


@dataclass
class Summary:
    """What a session did; `as_json` is the contract of `emage-live --json`.

    rtf: compute seconds per audio second. audio_to_pose_ms: from the capture of the last sample of
    a frame's audio to the frame handed to its receivers (None unless in real time). playout_ms:
    what the frame waits for a steady cadence beyond hop wait and look-ahead. jitter_ms: how much
    after its due time a frame was handed over. stages_ms: see `Stage`.
    """

    bundle: str
    frames: int = 0
    audio_s: float = 0.0
    rtf: float = 0.0
    hop_frames: int = 0
    fps_out: float = 0.0
    lookahead_ms: float = 0.0
    hop_wait_ms: float = 0.0
    playout_ms: float = 0.0
    audio_to_pose_ms: dict[str, float] | None = None
    compute_ms: dict[str, float] | None = None
    jitter_ms: dict[str, float] | None = None
    stages_ms: dict[str, dict[str, float] | None] = field(default_factory=dict)
    late_frames: int = 0
    events: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the terms of the latency beside one another."""
        terms = {
            "lookahead_ms": self.lookahead_ms,
            "hop_wait_ms": self.hop_wait_ms,
            "compute_ms": self.compute_ms["p50"] if self.compute_ms else None,
            "playout_ms": self.playout_ms,
        }
        return {**asdict(self), "terms": terms}


class Figures:
    """What a session counts and times while it runs. now: seconds of any clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.stages = StageTimings(now)
        self.frames = self.late = 0
        self.compute_s = 0.0
        self._now = now
        self._latency, self._compute, self._jitter = Timings(), Timings(), Timings()
        self._first_out_s = self._last_out_s = math.nan

    def computed(self, seconds: float, hop: bool) -> None:
        """Computing took `seconds`; hop: whether one hop came of it."""
        self.compute_s += seconds
        if hop:
            self._compute.add(seconds * 1000)

    def due(self, late_s: float) -> None:
        """A frame was taken `late_s` after its time."""
        self._jitter.add(late_s * 1000)

    def handed_over(self, heard_s: float) -> None:
        """A frame whose sound was complete at `heard_s` has left."""
        now = self._now()
        self._latency.add((now - heard_s) * 1000)
        if math.isnan(self._first_out_s):
            self._first_out_s = now
        self._last_out_s = now

    def stats(self) -> dict[str, Any]:
        """Recent figures for somebody who watches."""
        return {
            "frames": self.frames,
            "late_frames": self.late,
            "audio_to_pose_ms": percentiles(self._latency.recent(300)),
            "compute_ms": percentiles(self._compute.recent(150)),
        }

    def summary(self, bundle: str, audio_s: float, frame_rate: int) -> Summary:
        """The whole session; frame_rate stands in where too few frames left in real time."""
        span = self._last_out_s - self._first_out_s
        rate = (self.frames - 1) / span if span > 0 else float(frame_rate)
        return Summary(
            bundle=bundle,
            frames=self.frames,
            audio_s=round(audio_s, 3),
            rtf=round(self.compute_s / audio_s, 4) if audio_s else 0.0,
            fps_out=round(rate, 3),
            audio_to_pose_ms=self._latency.summary(),
            compute_ms=self._compute.summary(),
            jitter_ms=self._jitter.summary(),
            stages_ms=self.stages.summary(),
            late_frames=self.late,
        )
