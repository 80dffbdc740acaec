"""Permutation test on hand-made utterances."""

import numpy as np
import pytest

from bench.quality.sync import Utterance, mute_report, stroke_test
from tests.support.arm_speeds import FPS, peaks


def utterances(lag: float | None) -> list[Utterance]:
    """Ten utterances with strokes `lag` after stresses, or at random times."""
    generator = np.random.default_rng(3)
    made = []
    for _ in range(10):
        stresses = np.sort(generator.uniform(0, 20, 12))
        strokes = generator.uniform(0, 20, 12) if lag is None else stresses + lag
        made.append(Utterance(np.sort(strokes), stresses, 20.0))
    return made


def test_strokes_on_stresses_are_found_significant() -> None:
    report = stroke_test(utterances(0.1), rounds=300)
    assert report.p_value < 0.01
    assert report.distance < 0.11 < report.shuffled_distance
    assert report.lag == pytest.approx(0.1, abs=0.03)
    assert report.near > 0.9 > report.shuffled_near


def test_random_strokes_are_not_significant() -> None:
    assert stroke_test(utterances(None), rounds=300).p_value > 0.05


def test_motion_without_strokes_is_not_significant() -> None:
    still = [Utterance(np.array([]), np.array([1.0, 2.0]), 5.0) for _ in range(4)]
    report = stroke_test(still, rounds=50)
    assert report.p_value == 1.0
    assert report.strokes == 0


def test_mute_report_compares_speed_and_strokes() -> None:
    loud, quiet = peaks([1.0, 2.0, 3.0], 6.0), np.full(180, 0.05)
    report = mute_report([loud], [quiet], FPS)
    assert report.muted_speed == pytest.approx(0.05)
    assert report.ratio == pytest.approx(0.05 / loud.mean())
    assert report.strokes_per_minute == pytest.approx(30.0)
    assert report.muted_strokes_per_minute == 0.0
