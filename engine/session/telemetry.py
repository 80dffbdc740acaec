"""Telemetry: counts and times of a session, and its summary."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.timing import StageTimings, Timings, percentiles


@dataclass
class Summary:
    """Figures of a whole session; `as_json` is the contract of `emage-live --json`.

    Attributes:
        bundle: name of the model.
        frames: frames sent.
        audio_s: audio received, seconds.
        rtf: compute seconds per audio second.
        hop_frames: frames per hop.
        fps_out: frames sent per second.
        lookahead_ms: audio after a frame's own that its window needs.
        hop_wait_ms: longest wait of a hop's first frame for the others.
        playout_ms: delay of the playout beyond hop wait and look-ahead; 0 unless in real time.
        audio_to_pose_ms: from the capture of a frame's last sample until the frame was sent; None
            unless in real time.
        compute_ms: computing of a hop.
        jitter_ms: time between a frame's due time and its sending; None unless in real time.
        stages_ms: by `Stage`.
        late_frames: frames that were not ready when due.
        events: counts of faults.

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


class Telemetry:
    """Counts and times of a running session. now: seconds of any clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.stages = StageTimings(now)
        self.frames = self.late = 0
        self.compute_s = 0.0
        self._now = now
        self._latency, self._compute, self._jitter = Timings(), Timings(), Timings()
        self._first_out_s = self._last_out_s = math.nan

    def add_compute(self, seconds: float, *, hop: bool) -> None:
        """Add compute time; hop: whether it was that of one hop."""
        self.compute_s += seconds
        if hop:
            self._compute.add(seconds * 1000)

    def add_jitter(self, late_s: float) -> None:
        """Add the time by which a frame was taken after its due time."""
        self._jitter.add(late_s * 1000)

    def add_sent(self, captured_s: float) -> None:
        """Add a sent frame whose audio was complete at `captured_s`."""
        now = self._now()
        self._latency.add((now - captured_s) * 1000)
        if math.isnan(self._first_out_s):
            self._first_out_s = now
        self._last_out_s = now

    def stats(self) -> dict[str, Any]:
        """Recent figures."""
        return {
            "frames": self.frames,
            "late_frames": self.late,
            "audio_to_pose_ms": percentiles(self._latency.recent(300)),
            "compute_ms": percentiles(self._compute.recent(150)),
        }

    def summary(self, bundle: str, audio_s: float, frame_rate: int) -> Summary:
        """Figures of the whole session; frame_rate is reported if too few frames were sent live."""
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
