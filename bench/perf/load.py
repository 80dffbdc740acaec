"""A crowd of speakers in real time: one pool, one thread, N streams that began at other moments.

Feeds each stream its sound in packets of 10 ms as they would come from a network, plans batches by
their deadlines, and notes for every frame how long after its own last sample it was computed.
"""

import gc
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.bundle.io import Bundle
from engine.generate.schedule import Schedule
from engine.generate.step import HopStep
from engine.motion.pose import PoseChunk
from engine.stream.pool import StreamPool
from engine.stream.scheduler import DeadlineScheduler, Job
from engine.timing import percentiles

BUDGET_S = 0.1
"""A frame computed later than this after its last sample counts as missed."""
_PACKET = 160
_NAP_S = 0.001
_SETTLED_S = 1.0  # of a run that is not counted: caches, and the seam with the rest pose
_MISSED_AT_MOST = 0.001


@dataclass
class LoadResult:
    """What a run of `streams` saw. held: frames that were not computed but held; cores: processor
    seconds a second; batches: how many streams went together, by how often.
    """

    streams: int
    latency_ms: list[float] = field(default_factory=list)
    held: int = 0
    cores: float = 0.0
    batches: Counter[int] = field(default_factory=Counter)

    @property
    def missed(self) -> int:
        """Frames later than the budget, and held ones."""
        return self.held + sum(value > BUDGET_S * 1000 for value in self.latency_ms)

    @property
    def passed(self) -> bool:
        """p99 within the budget, and (but for one in a thousand) every frame computed."""
        shown = percentiles(self.latency_ms)
        frames = len(self.latency_ms) + self.held
        return (
            shown is not None
            and shown["p99"] <= BUDGET_S * 1000
            and self.held <= _MISSED_AT_MOST * frames
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
    """Runs of several processes side by side as one."""
    total = LoadResult(0)
    for run in runs:
        total.streams += run.streams
        total.latency_ms += run.latency_ms
        total.held += run.held
        total.cores += run.cores
        total.batches += run.batches
    return total


class StreamLoad:
    """`streams` speakers of one bundle, each saying `sound [S]` from another place on."""

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
        self._pool = StreamPool(bundle, streams, schedule=schedule, step=step)
        self._batcher = DeadlineScheduler(streams)
        self._clock = bundle.config.clock
        self._hop = schedule.hop
        self._sound = sound
        self._places = rng.integers(0, len(sound), streams)
        # A hop of one stream becomes ready at another moment than that of the next.
        self._begins_s = rng.uniform(0.0, schedule.hop / self._clock.frame_rate, streams)
        self._fed = np.zeros(streams, np.int64)
        self._run = LoadResult(streams)

    def warm_up(self) -> None:
        """Compute batches of several sizes, so that nothing is done for the first time later."""
        count = self._pool.capacity
        silence = np.zeros(self._pool.first_hop_samples, np.float32)
        for size in sorted({1, 2, *(count * part // 4 for part in (1, 2, 3, 4))} - {0}):
            slots = [self._pool.open() for _ in range(min(size, count))]
            for _ in range(3):
                for slot in slots:
                    self._pool.feed_audio(slot, silence)
                begin = time.perf_counter()
                self._pool.step(slots)
                self._batcher.cost.learn(len(slots), time.perf_counter() - begin)
            for slot in slots:
                self._pool.close(slot)
        for number in range(count):
            self._pool.open(seed=number)
        gc.collect()
        gc.freeze()

    def run(self, seconds: float) -> LoadResult:
        """In real time; the first second is not counted."""
        origin, used = time.perf_counter(), time.process_time()
        while (now := time.perf_counter() - origin) < seconds + _SETTLED_S:
            if now < _SETTLED_S:
                used = time.process_time()
            self._hear(now)
            if not self._compute(now, origin):
                time.sleep(_NAP_S)
        self._run.cores = (time.process_time() - used) / seconds
        gc.unfreeze()
        return self._run

    def _hear(self, now: float) -> None:
        """Give every stream the packets that have come by now."""
        due = ((now - self._begins_s) * SAMPLE_RATE).astype(np.int64) // _PACKET * _PACKET
        for slot in np.flatnonzero(due > self._fed):
            first, end = self._fed[slot], due[slot]
            where = np.arange(first, end) + self._places[slot]
            self._pool.feed_audio(int(slot), self._sound[where % len(self._sound)])
            self._fed[slot] = end

    def _compute(self, now: float, origin: float) -> bool:
        """One batch, or hold what is lost; False with nothing to do."""
        jobs = [self._job(slot) for slot in self._pool.slots if self._pool.ready(slot)]
        plan = self._batcher.plan(jobs, self._pool.capacity, now)
        if plan.hold:
            held = self._pool.skip(plan.hold)
            if now > _SETTLED_S:
                self._run.held += sum(map(len, held.values()))
        if not plan.compute:
            return bool(plan.hold)
        begin = time.perf_counter()
        chunks = self._pool.step(plan.compute)
        end = time.perf_counter()
        self._batcher.cost.learn(len(chunks), end - begin)
        if now > _SETTLED_S:
            self._note(chunks, end - origin)
        return True

    def _job(self, slot: int) -> Job:
        first = self._pool.next_frame(slot)
        last = first + self._hop - 1
        return Job(
            slot, self._heard_s(slot, first) + BUDGET_S, self._heard_s(slot, last) + BUDGET_S
        )

    def _heard_s(self, slot: int, frame: int) -> float:
        """When the sound of `frame` was complete."""
        return float(self._begins_s[slot]) + self._clock.first_sample(frame + 1) / SAMPLE_RATE

    def _note(self, chunks: dict[int, PoseChunk], now: float) -> None:
        self._run.batches[len(chunks)] += 1
        for slot, chunk in chunks.items():
            for frame in range(chunk.first, chunk.first + len(chunk)):
                self._run.latency_ms.append((now - self._heard_s(slot, frame)) * 1000)
