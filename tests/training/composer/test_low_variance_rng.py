"""Low-variance generator against the plain generator of the same seed."""

import numpy as np
import pytest

from training.composer.low_variance_rng import low_variance


def both(determinism: float) -> tuple[np.random.Generator, np.random.Generator]:
    return np.random.default_rng(1), low_variance(np.random.default_rng(1), determinism)


def test_zero_determinism_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    assert low_variance(rng, 0.0) is rng


def test_spreads_are_narrower_about_the_same_middle() -> None:
    free, bound = both(0.75)
    assert bound.uniform(2.0, 6.0) - 4.0 == pytest.approx(0.25 * (free.uniform(2.0, 6.0) - 4.0))
    drawn = free.normal(3.0, 0.8, 50)
    assert bound.normal(3.0, 0.8, 50) - 3.0 == pytest.approx(0.25 * (drawn - 3.0))
    assert bound.standard_normal((2, 3)) == pytest.approx(0.25 * free.standard_normal((2, 3)))


def test_likely_events_are_surer() -> None:
    _, bound = both(0.6)
    drawn = np.array([bound.random() for _ in range(500)])
    assert (drawn < 0.75).all()
    assert (drawn > 0.25).all()
    assert 0.4 < (drawn < 0.5).mean() < 0.6
    often = [bound.choice([0, 1, 2], p=[0.7, 0.2, 0.1]) for _ in range(200)]
    assert np.mean(np.array(often) == 0) > 0.9


def test_integers_prefer_the_first_values() -> None:
    _, bound = both(0.6)
    assert {int(bound.integers(40)) for _ in range(200)} == {0, 1, 2}
    assert {int(bound.integers(5, 9)) for _ in range(50)} == {5}


def test_both_draw_from_one_source() -> None:
    rng = np.random.default_rng(1)
    low_variance(rng, 0.5).random()
    assert rng.random() == np.random.default_rng(1).random(2)[1]
