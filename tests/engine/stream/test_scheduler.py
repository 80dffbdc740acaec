"""Batches planned with times that are written down, and whole days in a made-up machine."""

import math
from collections import Counter

import numpy as np
import pytest

from engine.stream.scheduler import BatchCost, DeadlineScheduler, Job


def taught(a: float, b: float, most: int = 64, slack_s: float = math.inf) -> DeadlineScheduler:
    """A batcher that knows batches to take a + b n seconds."""
    batcher = DeadlineScheduler(most, slack_s=slack_s)
    for count in (1, 2, 4, 8, 16) * 40:
        batcher.cost.update(count, a + b * count)
    return batcher


def job(slot: int, deadline_s: float) -> Job:
    return Job(slot, deadline_s, deadline_s + 0.033)


def test_cost_is_learned_as_a_line() -> None:
    cost = taught(0.010, 0.002).cost
    for count in (1, 10, 100):
        assert cost.predict(count) == pytest.approx(0.010 + 0.002 * count, rel=0.02)
    assert cost.predict(0) == 0.0


def test_cost_of_sizes_never_seen_is_assumed_to_be_the_worst() -> None:
    cost = BatchCost()
    assert cost.predict(5) == 0.0
    for _ in range(50):
        cost.update(4, 0.020)
    assert cost.predict(4) == pytest.approx(0.020)
    assert cost.predict(8) == pytest.approx(0.040)
    assert cost.predict(1) == pytest.approx(0.020)


def test_cost_keeps_a_reserve_where_batches_vary() -> None:
    rng = np.random.default_rng(0)
    cost = BatchCost()
    for _ in range(400):
        cost.update(4, 0.020 + rng.uniform(-0.005, 0.005))
    assert 0.0235 < cost.predict(4) < 0.0265


def test_cost_follows_a_machine_that_becomes_slow() -> None:
    cost = taught(0.010, 0.002).cost
    for count in (1, 2, 4, 8, 16) * 60:
        cost.update(count, 0.030 + 0.002 * count)
    assert cost.predict(4) == pytest.approx(0.038, rel=0.1)


def test_all_go_together_where_there_is_time() -> None:
    plan = taught(0.010, 0.001).plan([job(s, 1.05 + s / 1000) for s in range(8)], 8, 1.0)
    assert plan.compute == tuple(range(8))
    assert plan.drop == ()


def test_the_urgent_go_first_where_all_together_would_be_late() -> None:
    """All eight take 50 ms; two are due in 30 ms, the others have time."""
    jobs = [job(s, 2.0) for s in range(6)] + [job(6, 1.031), job(7, 1.03)]
    plan = taught(0.010, 0.005).plan(jobs, 8, 1.0)
    assert plan.compute == (7, 6)


def test_the_largest_batch_of_those_that_miss_as_few() -> None:
    """Everything is lost whatever is done: then nothing is gained by small batches."""
    plan = taught(0.010, 0.005).plan([job(s, 0.97) for s in range(8)], 8, 1.0)
    assert len(plan.compute) == 8


def test_some_in_time_are_better_than_all_too_late() -> None:
    """All eight take 50 ms of the 36 that are left until the last frame, four take 30."""
    plan = taught(0.010, 0.005).plan([job(s, 1.003) for s in range(8)], 8, 1.0)
    assert len(plan.compute) == 4


def test_no_batch_is_larger_than_it_may_be() -> None:
    jobs = [job(s, 2.0 - s / 100) for s in range(8)]
    assert taught(0.01, 0.001, most=3).plan(jobs, 8, 1.0).compute == (7, 6, 5)


def test_a_hop_whose_every_frame_is_late_is_held() -> None:
    """And nothing else is done before the host has asked again: its next hop may wait already."""
    batcher = taught(0.01, 0.001)
    plan = batcher.plan([Job(0, 0.9, 0.95), Job(1, 0.9, 1.1)], 2, 1.0)
    assert (plan.drop, plan.compute, plan.until_s) == ((0,), (), 1.0)
    assert batcher.plan([Job(0, 0.96, 1.02), Job(1, 0.9, 1.1)], 2, 1.0).compute == (0, 1)


def test_nothing_to_do_waits_for_ever() -> None:
    plan = taught(0.01, 0.001).plan([], 5, 1.0)
    assert (plan.compute, plan.drop, plan.until_s) == ((), (), math.inf)


def test_with_slack_a_hop_waits_for_company() -> None:
    batcher = taught(0.010, 0.001, slack_s=0.020)
    jobs = [job(0, 1.080)]
    plan = batcher.plan(jobs, 4, 1.0)
    assert plan.compute == ()
    assert plan.until_s == pytest.approx(1.080 - 0.014 - 0.020, abs=1e-3)
    assert batcher.plan(jobs, 4, plan.until_s + 1e-6).compute == (0,)
    assert batcher.plan(jobs, 1, 1.0).compute == (0,), "nobody else could come"


def test_who_was_held_more_comes_first() -> None:
    batcher = taught(0.01, 0.001, most=1)
    jobs = [job(1, 1.02), job(0, 1.03)]
    assert batcher.plan(jobs, 2, 1.0).compute == (1,), "the more urgent one"
    assert batcher.plan([Job(0, 0.9, 0.95)], 2, 1.0).drop == (0,)
    assert batcher.plan(jobs, 2, 1.0).compute == (0,)
    for _ in range(100):
        batcher.plan([job(0, 2.0)], 2, 1.0)
    assert batcher.plan(jobs, 2, 1.0).compute == (1,), "long ago"
    batcher.plan([Job(0, 0.9, 0.95)], 2, 1.0)
    batcher.forget(0)
    batcher.forget(0)
    assert batcher.plan(jobs, 2, 1.0).compute == (1,), "another stream by now"


class Day:
    """A machine that takes a + b n seconds a batch, and streams of hops of `hop` frames."""

    def __init__(self, streams: int, a: float, b: float, most: int = 64, hop: int = 2) -> None:
        rng = np.random.default_rng(0)
        self.offsets = rng.uniform(0, hop / 30, streams)
        self.batcher = DeadlineScheduler(most)
        self.a, self.b, self.hop = a, b, hop
        self.done: Counter[int] = Counter()
        self.held: Counter[int] = Counter()
        self.late = self.lost = 0
        self.batches: list[int] = []

    def run(self, seconds: float, budget_s: float = 0.1) -> None:
        now, nexts = 0.0, [0] * len(self.offsets)
        while now < seconds:
            jobs = [self._job(s, nexts[s], budget_s) for s in range(len(nexts))]
            ready = [j for j in jobs if j.drop_deadline_s - budget_s <= now]
            plan = self.batcher.plan(ready, len(nexts), now)
            for slot in plan.drop + plan.compute:
                nexts[slot] += 1
            self.held.update(plan.drop)
            self.done.update(plan.compute)
            if not plan.compute:
                now += 0.0 if plan.drop else 0.001
                continue
            took = self.a + self.b * len(plan.compute)
            self.batcher.cost.update(len(plan.compute), took)
            now += took
            self.batches.append(len(plan.compute))
            self.late += sum(now > jobs[slot].deadline_s for slot in plan.compute)
            self.lost += sum(now > jobs[slot].drop_deadline_s for slot in plan.compute)

    def _job(self, slot: int, hop: int, budget_s: float) -> Job:
        heard = self.offsets[slot] + np.array([hop * self.hop + 1, (hop + 1) * self.hop]) / 30
        return Job(slot, heard[0] + budget_s, heard[1] + budget_s)


def test_a_machine_that_can_keep_up_is_never_late() -> None:
    """Sixteen streams need 5 + 16 x 2.5 = 45 ms of the 67 that a hop lasts."""
    day = Day(16, a=0.005, b=0.0025)
    day.run(20.0)
    assert not day.held
    assert day.late == 0
    assert max(day.batches) > 2


def test_overload_is_shared_fairly() -> None:
    """Forty streams need 105 ms of 67; batches of at most eight."""
    for most in (8, 64):
        day = Day(40, a=0.005, b=0.0025, most=most)
        day.run(30.0)
        shares = np.array([day.done[s] / (day.done[s] + day.held[s]) for s in range(40)])
        assert 0.3 < shares.mean() < 0.95
        assert shares.max() - shares.min() < 0.12
        assert day.lost < 0.02 * sum(day.done.values()), "what is computed must be of use"
