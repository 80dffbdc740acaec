"""Figures of memory readings, and readings of a process with a tiny model."""

from pathlib import Path

import pytest

from bench.perf import memory
from bench.perf.memory import Reading, growth, summary, watch
from engine.bundle.io import save_bundle
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle


def test_growth_is_a_slope() -> None:
    assert growth([Reading(30.0 * k, 100.0 + k) for k in range(5)]) == pytest.approx(2.0)
    assert growth([Reading(30.0 * k, 100.0) for k in range(5)]) == pytest.approx(0.0)
    assert growth([Reading(5.0, 100.0)]) == 0.0


def test_the_first_minute_is_not_growth() -> None:
    readings = [Reading(float(s), 100.0 + min(s, 60)) for s in range(180)]
    result = summary(readings, 170.0)
    assert result == {
        "after_load_mb": 100.0,
        "after_minute_mb": 160.0,
        "at_end_mb": 160.0,
        "growth_mb_per_minute": 0.0,
        "peak_mb": 170.0,
        "seconds": 179.0,
    }


def test_a_short_run_has_figures() -> None:
    result = summary([Reading(1.0, 100.0), Reading(2.0, 110.0)], 111.0)
    assert result["after_minute_mb"] == result["at_end_mb"] == 110.0


@pytest.mark.slow
def test_a_process_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_bundle(tiny_bundle(), tmp_path, half=False)
    monkeypatch.setattr(memory, "_EVERY_S", 0.1)
    readings, peak_mb = watch(babble(2.0), ["--model", str(tmp_path)])
    assert 50 < readings[0].rss_mb <= peak_mb
    assert readings[-1].seconds > readings[0].seconds
