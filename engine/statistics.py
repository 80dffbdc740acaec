"""Timings gathered while live, and the summary of a session."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


class Timings:
    """Milliseconds of one stage; keeps at most `most` evenly thinned values, so hours fit."""

    def __init__(self, most: int = 60_000) -> None:
        self._values: list[float] = []
        self._most = most
        self._every = 1
        self._seen = 0

    def add(self, value_ms: float) -> None:
        """Note one value."""
        if self._seen % self._every == 0:
            self._values.append(value_ms)
            if len(self._values) >= self._most:
                self._values = self._values[::2]
                self._every *= 2
        self._seen += 1

    def recent(self, count: int) -> list[float]:
        """The newest values."""
        return self._values[-count:]

    def summary(self) -> dict[str, float] | None:
        """p50, p95, p99 and max in milliseconds, None before the first value."""
        return percentiles(self._values)


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
    what the frame waits for a steady cadence beyond hop wait and look-ahead.
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
