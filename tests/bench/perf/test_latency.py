"""Summary of a latency measurement, and one of a tiny model in a separate process."""

import argparse
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from bench.perf import latency
from bench.perf.latency import OutsideRun, measure, read_speech, stage_table, table, write_in_time
from engine.bundle.io import save_bundle
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle

FIGURES = {"p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0}
REPORT: dict[str, Any] = {
    "hop_frames": 2,
    "late_frames": 1,
    "audio_to_pose_ms": None,
    "compute_ms": None,
    "jitter_ms": FIGURES,
    "stages_ms": {"features": None, "kernel": FIGURES},
    "rtf": 0.2,
    "terms": {},
    "events": {},
}


def outside_run() -> OutsideRun:
    times = [10 + k / 30 for k in range(31)]
    return OutsideRun(list(range(31)), [50.0] * 30 + [90.0], times, REPORT, 1.5, 0.5, 300.0)


def test_summary_of_a_run() -> None:
    summary = outside_run().summary(1.0)
    assert summary["fps"] == pytest.approx(30.0)
    assert summary["audio_to_pose_ms"]["max"] == 90.0
    assert summary["audio_to_pose_ms"]["p50"] == 50.0
    assert summary["core_share"] == 0.5
    assert summary["gap_ms"]["p50"] == pytest.approx(33.333, abs=0.01)


def test_the_tables() -> None:
    run = outside_run().summary(1.0)
    row = table([run]).splitlines()[1].split()
    assert row == ["2", "50.0", "50.0", "78.0", "90.0", "1", "31", "0.200", "0.500", "300", "3.00"]
    rows = [line.split() for line in stage_table([run]).splitlines()]
    assert rows[1:] == [["2", "kernel", "1.00", "2.00", "3.00", "4.00"]]


def test_each_hop_is_one_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def measured(_: np.ndarray, arguments: list[str]) -> OutsideRun:
        asked.append(arguments)
        return outside_run()

    monkeypatch.setattr(latency, "measure", measured)
    parser = argparse.ArgumentParser()
    latency.add_command(parser.add_subparsers())
    for words, expected in (
        (["--hop", "1", "8", "--", "--seed", "3"], [["--hop", "1", "--seed", "3"], ["--hop", "8"]]),
        ([], [[]]),
    ):
        asked.clear()
        assert latency.latency_command(parser.parse_args(["latency", *words])) == 0
        assert [found[: len(want)] for found, want in zip(asked, expected, strict=True)] == expected
        report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        assert len(report["runs"]) == len(expected)


def test_sound_is_written_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(latency, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    pipe = io.BytesIO()
    times = write_in_time(pipe, np.full(400, 0.5, np.float32))
    assert np.frombuffer(pipe.getvalue(), "<i2").tolist() == [16383] * 400
    assert times[[0, 159, 160, 399]] == pytest.approx([100.01, 100.01, 100.02, 100.025])


def test_short_speech_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "s.wav"
    soundfile.write(path, np.linspace(-0.5, 0.5, 16000), 16000)
    sound = read_speech(path, 2.5)
    assert len(sound) == 40000
    np.testing.assert_array_equal(sound[:16000], sound[16000:32000])


@pytest.mark.slow
def test_a_process_is_measured_from_outside(tmp_path: Path) -> None:
    save_bundle(tiny_bundle(), tmp_path, half=False)
    run = measure(babble(1.0), ["--model", str(tmp_path), "--hop", "3"])
    assert run.frames == list(range(run.frames[0], 30))
    assert len(run.latency_ms) == len(run.frames)
    assert run.report["hop_frames"] == 3
    assert run.cpu_s > 0
    assert run.peak_mb > 50
    assert run.startup_s > 0
    assert run.report["stages_ms"]["kernel"]["max"] > 0
