"""Deadline scheduler: which streams to compute now, which together, and which to drop. No clock.

Larger batches are cheaper per stream but delay the most urgent one. The batch is the largest one
that misses the fewest deadlines, so an overloaded machine serves some streams on time instead of
all late. A hop whose every frame is already late is dropped (the avatar holds its pose, the model
catches up); streams that were dropped recently come first, so that no stream takes all the loss.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_EMA_DECAY: Final = 0.98  # of the batch costs, per batch
_FAIRNESS_DECAY: Final = 0.95  # of a stream's share of dropped hops, per hop
_FAIRNESS_MIN: Final = 1e-3  # a smaller share is forgotten
_DEVIATIONS: Final = 2.0  # mean deviations in the reserve of a predicted cost


@dataclass(frozen=True)
class Job:
    """A hop that is ready.

    Attributes:
        slot: its stream.
        deadline_s: when its first frame is due.
        drop_deadline_s: when its last frame is due; it is not computed after that.

    """

    slot: int
    deadline_s: float
    drop_deadline_s: float


@dataclass(frozen=True)
class Plan:
    """Streams to drop, or else to compute, or else none.

    Attributes:
        compute: slots of the next batch.
        drop: slots whose hop is too late.
        until_s: if there is nothing to compute, when to plan again; infinity: at the next job.

    """

    compute: tuple[int, ...] = ()
    drop: tuple[int, ...] = ()
    until_s: float = math.inf


class BatchCost:
    """Seconds of a batch of n streams, a + b n, fitted to the batches that were computed."""

    def __init__(self) -> None:
        self._weight = self._n = self._t = self._nn = self._nt = 0.0
        self._deviation = 0.0

    def update(self, count: int, seconds: float) -> None:
        """Add the measured time of a batch of `count` streams."""
        if self._weight:
            error = abs(seconds - self._mean(count))
            self._deviation = _EMA_DECAY * self._deviation + (1 - _EMA_DECAY) * error
        new = (1.0, count, seconds, count * count, count * seconds)
        old = (self._weight, self._n, self._t, self._nn, self._nt)
        self._weight, self._n, self._t, self._nn, self._nt = (
            _EMA_DECAY * before + value for before, value in zip(old, new, strict=True)
        )

    def predict(self, count: int) -> float:
        """Upper estimate for a batch of `count`, in seconds; 0 before the first measurement."""
        if not self._weight or not count:
            return 0.0
        return self._mean(count) + _DEVIATIONS * self._deviation

    def _mean(self, count: int) -> float:
        n, t = self._n / self._weight, self._t / self._weight
        variance = self._nn / self._weight - n * n
        if variance < 0.01 * n * n:  # batches of one size: assume the worst of other sizes
            return t * max(1.0, count / n)
        slope = (self._nt / self._weight - n * t) / variance
        slope = min(max(slope, 0.0), t / n)  # neither part of the cost is negative
        return t + slope * (count - n)


class DeadlineScheduler:
    """Plans batches of at most `max_batch` streams.

    slack_s: a hop waits for others to join its batch as long as it would be done this long before
    its deadline; infinity never waits, which gives the smallest delay and the smallest batches.
    """

    def __init__(self, max_batch: int, *, slack_s: float = math.inf) -> None:
        self.cost = BatchCost()
        self._max_batch = max_batch
        self._slack_s = slack_s
        self._dropped: dict[int, float] = {}

    def plan(self, jobs: Sequence[Job], streams: int, now_s: float) -> Plan:
        """The plan at `now_s` for the ready `jobs` of `streams` open streams."""
        late = tuple(job.slot for job in jobs if now_s > job.drop_deadline_s)
        if late:  # their next hops may be ready too, and must not miss this batch
            self._record(late, dropped=True)
            return Plan(drop=late, until_s=now_s)
        if not jobs:
            return Plan()
        # A job that is late even in a smaller batch must not take the place of one that is not.
        hopeless_s = now_s + self.cost.predict(min(len(jobs), self._max_batch) // 2)
        waiting = sorted(
            jobs,
            key=lambda job: (
                job.drop_deadline_s < hopeless_s,
                -self._dropped.get(job.slot, 0.0),
                job.deadline_s,
            ),
        )
        start_s = self._latest_start(waiting, streams)
        if now_s < start_s:
            return Plan(until_s=start_s)
        chosen = tuple(job.slot for job in waiting[: self._count(waiting, now_s)])
        self._record(chosen, dropped=False)
        return Plan(compute=chosen)

    def forget(self, slot: int) -> None:
        """Delete the history of a closed stream."""
        self._dropped.pop(slot, None)

    def _record(self, slots: Sequence[int], *, dropped: bool) -> None:
        """Update each stream's share of dropped hops; shares below _FAIRNESS_MIN are deleted."""
        for slot in slots:
            before = self._dropped.get(slot, 0.0)
            share = _FAIRNESS_DECAY * before + (1 - _FAIRNESS_DECAY) * dropped
            self._dropped[slot] = share
            if share < _FAIRNESS_MIN:
                del self._dropped[slot]

    def _latest_start(self, jobs: Sequence[Job], streams: int) -> float:
        """Time until which the batch may wait for more streams; -infinity if all are ready."""
        if len(jobs) >= min(streams, self._max_batch):
            return -math.inf
        deadline_s = min(job.deadline_s for job in jobs)
        return deadline_s - self.cost.predict(min(streams, self._max_batch)) - self._slack_s

    def _count(self, jobs: Sequence[Job], now_s: float) -> int:
        """The largest of all, half, a quarter ... with the fewest dropped, then late jobs."""
        best, fewest = 0, (len(jobs) + 1, 0)
        count = min(len(jobs), self._max_batch)
        while count:
            missed = self._missed(jobs, count, now_s)
            if missed < fewest:
                best, fewest = count, missed
            count //= 2
        return best

    def _missed(self, jobs: Sequence[Job], count: int, now_s: float) -> tuple[int, int]:
        """Jobs dropped, and jobs late, if `count` go first and the others after them."""
        first_s = now_s + self.cost.predict(count)
        then_s = first_s + self.cost.predict(len(jobs) - count)
        dropped = late = 0
        for position, job in enumerate(jobs):
            end_s = first_s if position < count else then_s
            dropped += end_s > job.drop_deadline_s
            late += end_s > job.deadline_s
        return dropped, late
