"""What is made of an outside measurement; the measuring itself is tried in tests of the command."""

import numpy as np
import pytest
import soundfile

from bench.latency import OutsideRun, read_speech


def test_summary_of_a_run() -> None:
    report = {"late_frames": 1, "audio_to_pose_ms": None, "compute_ms": None, "rtf": 0.2}
    times = [10 + k / 30 for k in range(31)]
    run = OutsideRun(list(range(31)), [50.0] * 30 + [90.0], times, report, 1.5, 0.5, 300.0)
    summary = run.summary(1.0)
    assert summary["fps"] == pytest.approx(30.0)
    assert summary["audio_to_pose_ms"]["max"] == 90.0
    assert summary["audio_to_pose_ms"]["p50"] == 50.0
    assert summary["core_share"] == 0.5
    assert summary["gap_ms"]["p50"] == pytest.approx(33.333, abs=0.01)


def test_short_speech_is_repeated(tmp_path) -> None:
    path = tmp_path / "s.wav"
    soundfile.write(path, np.linspace(-0.5, 0.5, 16000), 16000)
    sound = read_speech(path, 2.5)
    assert len(sound) == 40000
    np.testing.assert_array_equal(sound[:16000], sound[16000:32000])
