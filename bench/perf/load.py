"""Load generator: N streams of one shipped `PoolSession` in real time, in the caller's thread.

Each stream gets its audio in packets of 10 ms, as from a network, and begins at another moment. For
every frame the time from the capture of its last sample until it was delivered is recorded.
"""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.bundle.io import Bundle
from engine.events import EventCounter
from engine.generate.schedule import Schedule
from engine.generate.step import HopStep
from engine.motion.pose import FrameFlag, PoseChunk
from engine.session.clock import SessionClock
from engine.session.multi import PoolSession, StreamHandle
from engine.stream.pool import StreamPool
from engine.timing import percentiles

BUDGET_S = 0.1
"""A frame computed later than this after its last sample counts as missed."""
_PACKET = 160
_IDLE_S = 0.001
_SETTLE_S = 1.0  # start of a run that is not counted: caches, and the seam with the rest pose
_MAX_MISSED_SHARE = 0.001


@dataclass
class LoadResult:
    """Figures of a run of `streams`.

    Attributes:
        streams: number of streams.
        latency_ms: of each computed frame.
        held: frames that were not computed but repeat the last pose.
        cores: processor seconds per second.
        batches: number of batches, by their size.

    """

    streams: int
    latency_ms: list[float] = field(default_factory=list)
    held: int = 0
    cores: float = 0.0
    batches: Counter[int] = field(default_factory=Counter)

    @property
    def missed(self) -> int:
        """Frames later than the budget, and held frames."""
        return self.held + sum(value > BUDGET_S * 1000 for value in self.latency_ms)

    @property
    def passed(self) -> bool:
        """p99 within the budget, and (but for one in a thousand) every frame computed."""
        shown = percentiles(self.latency_ms)
        frames = len(self.latency_ms) + self.held
        return (
            shown is not None
            and shown["p99"] <= BUDGET_S * 1000
            and self.held <= _MAX_MISSED_SHARE * frames
        )

    def row(self) -> dict[str, object]:
        """Figures for a table and for JSON."""
        count = sum(self.batches.values())
        return {
            "streams": self.streams,
            "latency_ms": percentiles(self.latency_ms),
            "frames": len(self.latency_ms) + self.held,
            "missed": self.missed,
            "held": self.held,
            "cores": round(self.cores, 3),
            "batch": round(sum(n * k for n, k in self.batches.items()) / max(count, 1), 1),
            "passed": self.passed,
        }


def joined(runs: Iterable["LoadResult"]) -> LoadResult:
    """The results of several processes that ran side by side as one."""
    total = LoadResult(0)
    for run in runs:
        total.streams += run.streams
        total.latency_ms += run.latency_ms
        total.held += run.held
        total.cores += run.cores
        total.batches += run.batches
    return total


class StreamLoad:
    """`streams` streams of one bundle, each with `sound [S]` from another position on."""

    def __init__(
        self,
        bundle: Bundle,
        streams: int,
        sound: np.ndarray,
        *,
        schedule: Schedule,
        step: HopStep | None = None,
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        pool = StreamPool(bundle, streams, schedule=schedule, step=step)
        self._host = _BenchClock()
        self._session = PoolSession(pool, events=EventCounter(), delay_s=BUDGET_S, host=self._host)
        self._clock = bundle.config.clock
        self._sound = sound
        self._positions = rng.integers(0, len(sound), streams)
        # The hops of the streams become ready at different moments.
        self._begins_s = rng.uniform(0.0, schedule.hop / self._clock.frame_rate, streams)
        self._fed = np.zeros(streams, np.int64)
        self._batch = 0  # streams computed in this round
        self._result = LoadResult(streams)
        self._handles: list[StreamHandle] = []

    def warm_up(self) -> None:
        """Compute batches of several sizes, then open all streams."""
        self._session.warm_up()
        for number in range(self._result.streams):
            self._handles.append(self._session.open(self._receiver(number), seed=number))
        gc.collect()
        gc.freeze()

    def run(self, seconds: float) -> LoadResult:
        """Run in real time; the first second is not counted."""
        self._origin_s, used = self._host.now(), time.process_time()
        self._begins_s += self._origin_s
        while (now := self._host.now() - self._origin_s) < seconds + _SETTLE_S:
            if now < _SETTLE_S:
                used = time.process_time()
            self._feed()
            self._batch = 0
            if not self._session.advance():
                time.sleep(_IDLE_S)
            elif self._batch:
                self._result.batches[self._batch] += 1
        self._result.cores = (time.process_time() - used) / seconds
        gc.unfreeze()
        return self._result

    def _feed(self) -> None:
        """Give every stream the packets captured by now."""
        due = (self._host.now() - self._begins_s) * SAMPLE_RATE
        packets = due.astype(np.int64) // _PACKET * _PACKET
        for number in np.flatnonzero(packets > self._fed):
            first, end = self._fed[number], packets[number]
            where = np.arange(first, end) + self._positions[number]
            samples = self._sound[where % len(self._sound)]
            captured_at = float(self._begins_s[number] + end / SAMPLE_RATE)
            self._session.feed_audio(self._handles[number], samples, captured_at)
            self._fed[number] = end

    def _receiver(self, number: int) -> Callable[[PoseChunk], None]:
        def deliver(chunk: PoseChunk) -> None:
            now = self._host.now()
            held = bool(chunk.flags[0] & FrameFlag.HELD)
            counted = now - self._origin_s > _SETTLE_S
            if held:
                self._result.held += len(chunk) * counted
            elif counted:
                self._batch += 1
                frames = range(chunk.first, chunk.first + len(chunk))
                self._result.latency_ms += [
                    (now - self._captured_s(number, frame)) * 1000 for frame in frames
                ]

        return deliver

    def _captured_s(self, number: int, frame: int) -> float:
        """When the audio of `frame` was complete."""
        return float(self._begins_s[number]) + self._clock.first_sample(frame + 1) / SAMPLE_RATE


class _BenchClock(SessionClock):
    """Seconds with the resolution of a performance counter."""

    def now(self) -> float:
        """Seconds since an arbitrary origin."""
        return time.perf_counter()
