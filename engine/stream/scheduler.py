"""Batching: which streams to compute now, which together, and which to let go. No clock inside.

Hops wait with the times at which their frames must leave; the host tells the time and how long
batches took. A larger batch costs less a stream, but its most urgent stream waits for all of it: so
the batch is the largest one with which the fewest hops miss their time: on a machine that is too
slow some streams are served in time, and not all of them late. A hop whose every frame is already
late is held instead of computed (the avatar keeps its pose, the model catches up), and who was
held more of late comes first, so that no stream pays for all. Knows no poses and no networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_MEMORY: Final = 0.98  # of one batch's weight in the cost that is left after the next one
_PATIENCE: Final = 0.95  # of what a stream was held that still counts a hop later
_FORGIVEN: Final = 1e-3
_SPREAD: Final = 2.0  # mean deviations that a batch may take longer than expected


@dataclass(frozen=True)
class Job:
    """A hop that waits. due_s: when its first frame must leave; lost_s: when its last one must."""

    slot: int
    due_s: float
    lost_s: float


@dataclass(frozen=True)
class Plan:
    """What to do now: hold some, or else compute some, or else wait.

    until_s: with nothing to compute, when to ask again (infinity: once there is a job).
    """

    compute: tuple[int, ...] = ()
    hold: tuple[int, ...] = ()
    until_s: float = math.inf


class BatchCost:
    """Seconds that a batch of n streams takes, a + b n, learned from those that were computed."""

    def __init__(self) -> None:
        self._weight = self._n = self._t = self._nn = self._nt = 0.0
        self._off = 0.0

    def learn(self, count: int, seconds: float) -> None:
        """A batch of `count` streams took `seconds`."""
        if self._weight:
            wrong = abs(seconds - self._mean(count))
            self._off = _MEMORY * self._off + (1 - _MEMORY) * wrong
        fresh = (1.0, count, seconds, count * count, count * seconds)
        old = (self._weight, self._n, self._t, self._nn, self._nt)
        self._weight, self._n, self._t, self._nn, self._nt = (
            _MEMORY * before + new for before, new in zip(old, fresh, strict=True)
        )

    def of(self, count: int) -> float:
        """What a batch of `count` may take, with some reserve; 0 before anything was learned."""
        return self._mean(count) + _SPREAD * self._off if self._weight and count else 0.0

    def _mean(self, count: int) -> float:
        n, t = self._n / self._weight, self._t / self._weight
        spread = self._nn / self._weight - n * n
        if spread < 0.01 * n * n:  # batches of one size: assume the worst of other sizes
            return t * max(1.0, count / n)
        slope = (self._nt / self._weight - n * t) / spread
        slope = min(max(slope, 0.0), t / n)  # neither part of the cost is negative
        return t + slope * (count - n)


class DeadlineScheduler:
    """Plans batches of at most `most` streams.

    slack_s: a hop is left waiting for others to join it as long as it would still be done so much
    before its time; infinity never waits, which is the quickest and makes the smallest batches.
    """

    def __init__(self, most: int, *, slack_s: float = math.inf) -> None:
        self.cost = BatchCost()
        self._most = most
        self._slack_s = slack_s
        self._held: dict[int, float] = {}

    def plan(self, jobs: Sequence[Job], streams: int, now_s: float) -> Plan:
        """What to do at `now_s` about `jobs`, of which `streams` could be waiting at most."""
        lost = tuple(job.slot for job in jobs if now_s > job.lost_s)
        if lost:  # their next hops may be waiting too, and must not miss this batch
            self._note(lost, held=True)
            return Plan(hold=lost, until_s=now_s)
        if not jobs:
            return Plan()
        # Who is lost even in a smaller batch must not take the place of one who can be served.
        hopeless_s = now_s + self.cost.of(min(len(jobs), self._most) // 2)
        waiting = sorted(
            jobs,
            key=lambda job: (job.lost_s < hopeless_s, -self._held.get(job.slot, 0.0), job.due_s),
        )
        start_s = self._latest_start(waiting, streams)
        if now_s < start_s:
            return Plan(until_s=start_s)
        chosen = tuple(job.slot for job in waiting[: self._count(waiting, now_s)])
        self._note(chosen, held=False)
        return Plan(compute=chosen)

    def forget(self, slot: int) -> None:
        """The stream of this slot is gone."""
        self._held.pop(slot, None)

    def _note(self, slots: Sequence[int], *, held: bool) -> None:
        """The share of its last hops that a stream was held; no entry for one that never was."""
        for slot in slots:
            share = _PATIENCE * self._held.get(slot, 0.0) + (1 - _PATIENCE) * held
            self._held[slot] = share
            if share < _FORGIVEN:
                del self._held[slot]

    def _latest_start(self, jobs: Sequence[Job], streams: int) -> float:
        """How long the batch may wait for more streams to become ready; it need not if all are."""
        if len(jobs) >= min(streams, self._most):
            return -math.inf
        due_s = min(job.due_s for job in jobs)
        return due_s - self.cost.of(min(streams, self._most)) - self._slack_s

    def _count(self, jobs: Sequence[Job], now_s: float) -> int:
        """The largest of all, half, a quarter ... with which the fewest are lost, or else late."""
        best, fewest = 0, (len(jobs) + 1, 0)
        count = min(len(jobs), self._most)
        while count:
            missed = self._missed(jobs, count, now_s)
            if missed < fewest:
                best, fewest = count, missed
            count //= 2
        return best

    def _missed(self, jobs: Sequence[Job], count: int, now_s: float) -> tuple[int, int]:
        """Jobs lost, and jobs late, when `count` go first and the others after them."""
        first_s = now_s + self.cost.of(count)
        then_s = first_s + self.cost.of(len(jobs) - count)
        lost = late = 0
        for place, job in enumerate(jobs):
            end_s = first_s if place < count else then_s
            lost += end_s > job.lost_s
            late += end_s > job.due_s
        return lost, late
