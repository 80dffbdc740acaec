"""A live process with a tiny model."""

from pathlib import Path

import numpy as np
import pytest

from bench.perf.live_process import LiveProcess, resident_mb
from engine.bundle.io import save_bundle
from tests.support.tiny_bundle import tiny_bundle


def test_resident_memory_of_a_process() -> None:
    before = resident_mb()
    held = np.ones(10_000_000)  # 76 MB
    assert resident_mb() - before == pytest.approx(76, abs=8)
    assert held.any()
    assert np.isnan(resident_mb(2**22 + 1))


@pytest.mark.slow
def test_frames_of_a_process_are_received_until_it_stops(tmp_path: Path) -> None:
    save_bundle(tiny_bundle(), tmp_path, half=False)
    with LiveProcess(["--demo", "--model", str(tmp_path)]) as live:
        assert live.rss_mb > 50
        live.stop()
        ended = live.finish()
    assert ended.report["bundle"] == "tiny"
    assert ended.cpu_s > 0
    assert ended.peak_mb >= 50


@pytest.mark.slow
def test_a_program_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="ended before it listened"),
        LiveProcess(["--demo", "--model", str(tmp_path)]),
    ):
        pass
