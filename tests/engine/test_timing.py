import json

import numpy as np
import pytest

from engine.timing import Figures, Stage, StageTimings, Summary, Timings, no_timer, percentiles


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


def test_the_summary_has_the_documented_keys() -> None:
    summary = Summary(
        "first", hop_wait_ms=33.333, playout_ms=20.0, compute_ms=percentiles([1.0, 2.0, 3.0])
    )
    written = json.loads(json.dumps(summary.as_json()))
    assert {
        *("frames", "audio_s", "rtf", "hop_frames", "lookahead_ms", "fps_out"),
        *("audio_to_pose_ms", "compute_ms", "terms", "late_frames", "events", "bundle"),
    } <= set(written)
    assert written["terms"] == {
        "lookahead_ms": 0.0,
        "hop_wait_ms": 33.333,
        "compute_ms": 2.0,
        "playout_ms": 20.0,
    }


def test_the_summary_of_an_empty_session_is_valid_json() -> None:
    written = json.loads(json.dumps(Summary("first").as_json(), allow_nan=False))
    assert written["audio_to_pose_ms"] is None
    assert written["terms"]["compute_ms"] is None


def test_a_session_is_summarised() -> None:
    times = iter([10.0, 11.0, 12.0])
    figures = Figures(lambda: next(times))
    figures.computed(0.5, hop=True)
    figures.computed(0.25, hop=False)
    for captured_s in (9.9, 10.8, 11.9):
        figures.frames += 1
        figures.due(0.001)
        figures.handed_over(captured_s)
    assert figures.stats()["audio_to_pose_ms"]["max"] == 200.0
    summary = figures.summary("tiny", 1.5, 30)
    assert (summary.frames, summary.fps_out, summary.rtf) == (3, 1.0, 0.5)
    assert summary.compute_ms == {"p50": 500.0, "p95": 500.0, "p99": 500.0, "max": 500.0}
    assert summary.jitter_ms["max"] == 1.0
    assert Figures(lambda: 0.0).summary("tiny", 0.0, 30).fps_out == 30.0
