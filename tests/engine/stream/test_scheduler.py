"""Batch plans for given costs, and simulations of a machine with many streams."""

import math
from collections import Counter

import numpy as np
import pytest

from engine.stream.scheduler import BatchCost, DeadlineScheduler, Job


def with_cost(a: float, b: float, most: int = 64, slack_s: float = math.inf) -> DeadlineScheduler:
    """A scheduler that has learned a cost of a + b n seconds for n streams."""
    scheduler = DeadlineScheduler(most, slack_s=slack_s)
    for count in (1, 2, 4, 8, 16) * 40:
        scheduler.cost.update(count, a + b * count)
    return scheduler


def job(slot: int, deadline_s: float) -> Job:
    return Job(slot, deadline_s, deadline_s + 0.033)


def test_the_cost_is_fitted_linearly() -> None:
    cost = with_cost(0.010, 0.002).cost
    for count in (1, 10, 100):
        assert cost.predict(count) == pytest.approx(0.010 + 0.002 * count, rel=0.02)
    assert cost.predict(0) == 0.0


def test_the_cost_of_unknown_sizes_is_pessimistic() -> None:
    cost = BatchCost()
    assert cost.predict(5) == 0.0
    for _ in range(50):
        cost.update(4, 0.020)
    assert cost.predict(4) == pytest.approx(0.020)
    assert cost.predict(8) == pytest.approx(0.040)
    assert cost.predict(1) == pytest.approx(0.020)


def test_the_cost_includes_a_reserve_for_variation() -> None:
    rng = np.random.default_rng(0)
    cost = BatchCost()
    for _ in range(400):
        cost.update(4, 0.020 + rng.uniform(-0.005, 0.005))
    assert 0.0235 < cost.predict(4) < 0.0265


def test_the_cost_adapts_to_a_slower_machine() -> None:
    cost = with_cost(0.010, 0.002).cost
    for count in (1, 2, 4, 8, 16) * 60:
        cost.update(count, 0.030 + 0.002 * count)
    assert cost.predict(4) == pytest.approx(0.038, rel=0.1)


def test_all_streams_are_batched_if_time_allows() -> None:
    plan = with_cost(0.010, 0.001).plan([job(s, 1.05 + s / 1000) for s in range(8)], 8, 1.0)
    assert plan.compute == tuple(range(8))
    assert plan.drop == ()


def test_urgent_streams_go_first_if_a_full_batch_is_late() -> None:
    """All eight take 50 ms; two are due in 30 ms, the others have time."""
    jobs = [job(s, 2.0) for s in range(6)] + [job(6, 1.031), job(7, 1.03)]
    plan = with_cost(0.010, 0.005).plan(jobs, 8, 1.0)
    assert plan.compute == (7, 6)


def test_the_largest_of_equally_late_batches_is_chosen() -> None:
    """All deadlines are missed in any case, so smaller batches have no advantage."""
    plan = with_cost(0.010, 0.005).plan([job(s, 0.97) for s in range(8)], 8, 1.0)
    assert len(plan.compute) == 8


def test_some_streams_in_time_are_better_than_all_late() -> None:
    """36 ms are left until the last frame; eight streams take 50 ms, four take 30 ms."""
    plan = with_cost(0.010, 0.005).plan([job(s, 1.003) for s in range(8)], 8, 1.0)
    assert len(plan.compute) == 4


def test_batches_do_not_exceed_the_maximum() -> None:
    jobs = [job(s, 2.0 - s / 100) for s in range(8)]
    assert with_cost(0.01, 0.001, most=3).plan(jobs, 8, 1.0).compute == (7, 6, 5)


def test_a_hop_with_only_late_frames_is_held() -> None:
    """No batch is planned with it, since the next hop of the stream may be ready already."""
    scheduler = with_cost(0.01, 0.001)
    plan = scheduler.plan([Job(0, 0.9, 0.95), Job(1, 0.9, 1.1)], 2, 1.0)
    assert (plan.drop, plan.compute, plan.until_s) == ((0,), (), 1.0)
    assert scheduler.plan([Job(0, 0.96, 1.02), Job(1, 0.9, 1.1)], 2, 1.0).compute == (0, 1)


def test_an_empty_plan_waits_indefinitely() -> None:
    plan = with_cost(0.01, 0.001).plan([], 5, 1.0)
    assert (plan.compute, plan.drop, plan.until_s) == ((), (), math.inf)


def test_with_slack_a_hop_waits_for_other_streams() -> None:
    scheduler = with_cost(0.010, 0.001, slack_s=0.020)
    jobs = [job(0, 1.080)]
    plan = scheduler.plan(jobs, 4, 1.0)
    assert plan.compute == ()
    assert plan.until_s == pytest.approx(1.080 - 0.014 - 0.020, abs=1e-3)
    assert scheduler.plan(jobs, 4, plan.until_s + 1e-6).compute == (0,)
    assert scheduler.plan(jobs, 1, 1.0).compute == (0,), "no other stream is open"


def test_streams_with_more_held_hops_have_priority() -> None:
    scheduler = with_cost(0.01, 0.001, most=1)
    jobs = [job(1, 1.02), job(0, 1.03)]
    assert scheduler.plan(jobs, 2, 1.0).compute == (1,), "earlier deadline"
    assert scheduler.plan([Job(0, 0.9, 0.95)], 2, 1.0).drop == (0,)
    assert scheduler.plan(jobs, 2, 1.0).compute == (0,)
    for _ in range(100):
        scheduler.plan([job(0, 2.0)], 2, 1.0)
    assert scheduler.plan(jobs, 2, 1.0).compute == (1,), "the priority decays"
    scheduler.plan([Job(0, 0.9, 0.95)], 2, 1.0)
    scheduler.forget(0)
    scheduler.forget(0)
    assert scheduler.plan(jobs, 2, 1.0).compute == (1,), "the slot has a new stream"


class Simulation:
    """A machine with a cost of a + b n seconds per batch, and streams with hops of `hop` frames."""

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
        captured_s = self.offsets[slot] + np.array([hop * self.hop + 1, (hop + 1) * self.hop]) / 30
        return Job(slot, captured_s[0] + budget_s, captured_s[1] + budget_s)


def test_a_fast_enough_machine_is_never_late() -> None:
    """Sixteen streams take 5 + 16 x 2.5 = 45 ms of a hop of 67 ms."""
    simulation = Simulation(16, a=0.005, b=0.0025)
    simulation.run(20.0)
    assert not simulation.held
    assert simulation.late == 0
    assert max(simulation.batches) > 2


def test_overload_is_shared_fairly() -> None:
    """Forty streams take 105 ms of a hop of 67 ms, in batches of at most 8 or 64."""
    for most in (8, 64):
        simulation = Simulation(40, a=0.005, b=0.0025, most=most)
        simulation.run(30.0)
        shares = np.array(
            [simulation.done[s] / (simulation.done[s] + simulation.held[s]) for s in range(40)]
        )
        assert 0.3 < shares.mean() < 0.95
        assert shares.max() - shares.min() < 0.12
        assert simulation.lost < 0.02 * sum(simulation.done.values()), (
            "computed hops are rarely too late to use"
        )
