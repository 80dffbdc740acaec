"""Telemetry: the summary keeps its keys and counts what was added."""

import json

from engine.session.telemetry import Summary, Telemetry
from engine.timing import percentiles


def test_the_summary_has_the_keys_that_others_script_against() -> None:
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


def test_the_summary_of_a_session_without_a_frame_is_still_json() -> None:
    written = json.loads(json.dumps(Summary("first").as_json(), allow_nan=False))
    assert written["audio_to_pose_ms"] is None
    assert written["terms"]["compute_ms"] is None


def test_telemetry_of_a_session() -> None:
    times = iter([10.0, 11.0, 12.0])
    telemetry = Telemetry(lambda: next(times))
    telemetry.add_compute(0.5, hop=True)
    telemetry.add_compute(0.25, hop=False)
    for captured_s in (9.9, 10.8, 11.9):
        telemetry.frames += 1
        telemetry.add_jitter(0.001)
        telemetry.add_sent(captured_s)
    assert telemetry.stats()["audio_to_pose_ms"]["max"] == 200.0
    summary = telemetry.summary("tiny", 1.5, 30)
    assert (summary.frames, summary.fps_out, summary.rtf) == (3, 1.0, 0.5)
    assert summary.compute_ms == {"p50": 500.0, "p95": 500.0, "p99": 500.0, "max": 500.0}
    assert summary.jitter_ms["max"] == 1.0
    assert Telemetry(lambda: 0.0).summary("tiny", 0.0, 30).fps_out == 30.0
