"""Styles: differences, random variation and shares."""

from collections import Counter
from dataclasses import asdict

import numpy as np

from training.composer.style import CALM, LISTENER, LIVELY, STYLES, draw_style, vary_style


def test_styles_have_their_names_and_fill_the_corpus() -> None:
    assert set(STYLES) == {"lively", "formal", "calm", "listener"}
    assert all(name == style.name for name, style in STYLES.items())
    assert sum(style.share for style in STYLES.values()) == 1.0
    assert [style.name for style in STYLES.values() if style.listens] == ["listener"]


def test_styles_are_drawn_by_their_shares() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(draw_style(rng).name for _ in range(2000))
    for name, style in STYLES.items():
        assert abs(drawn[name] / 2000 - style.share) < 0.04


def test_a_day_changes_somebody_a_little() -> None:
    rng = np.random.default_rng(1)
    days = [vary_style(CALM, rng) for _ in range(40)]
    assert {day.name for day in days} == {"calm"}
    assert len({day.amplitude for day in days}) == 40
    assert np.mean([day.amplitude for day in days]) < LIVELY.amplitude
    assert all(0 <= day.smile <= 1 and day.stress_s > 0.5 for day in days)
    assert asdict(vary_style(LISTENER, np.random.default_rng(3))) == asdict(
        vary_style(LISTENER, np.random.default_rng(3))
    )
