import numpy as np
import pytest

from engine.timing import Stage, StageTimings, Timings, no_timer, percentiles


def test_percentiles_of_known_values() -> None:
    values = [float(v) for v in range(101)]
    assert percentiles(values) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert percentiles([]) is None


def test_empty_timings_have_no_summary() -> None:
    assert Timings().summary() is None
    assert Timings().recent(5) == []


def test_recent_values_are_the_newest() -> None:
    timings = Timings()
    for value in range(10):
        timings.add(float(value))
    assert timings.recent(3) == [7.0, 8.0, 9.0]


def test_long_series_are_thinned_evenly() -> None:
    timings = Timings(most=100)
    values = np.random.default_rng(0).permutation(20_000).astype(float)
    for value in values:
        timings.add(value)
    thinned = timings._values[: timings._kept].tolist()
    assert 40 <= len(thinned) < 100
    indices = [int(np.flatnonzero(values == v)[0]) for v in thinned]
    assert len(set(np.diff(indices))) == 1
    summary = timings.summary()
    assert summary is not None
    assert summary["p50"] == pytest.approx(10_000, rel=0.3)
    assert summary["max"] == 19_999.0, "the maximum is never thinned out"
    assert timings.recent(3) == values[-3:].tolist()


def test_stages_are_timed_by_the_given_clock() -> None:
    times = iter([1.0, 1.002, 5.0, 5.001, 7.0, 7.005])
    stages = StageTimings(lambda: next(times))
    for stage in (Stage.KERNEL, Stage.KERNEL, Stage.EMIT):
        with stages.watch(stage):
            pass
    summary = stages.summary()
    assert list(summary) == ["features", "kernel", "choose", "decode", "emit", "send"]
    assert summary["features"] is None
    assert summary["kernel"] == {"p50": 1.5, "p95": 1.95, "p99": 1.99, "max": 2.0}
    emit = summary["emit"]
    assert emit is not None
    assert emit["max"] == 5.0
    with no_timer(Stage.SEND):
        assert next(times, None) is None
