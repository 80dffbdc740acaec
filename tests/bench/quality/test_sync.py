"""Stroke metrics against hand-made cases."""

import numpy as np
import pytest

from bench.quality.sync import (
    Utterance,
    arm_speed,
    mute_report,
    nearest,
    stroke_test,
    stroke_times,
    wrist_speed,
)
from engine.motion.skeleton import SMPLX_55

FPS = 30.0


def bumps(times: list[float], seconds: float, height: float = 1.0) -> np.ndarray:
    at = np.arange(int(seconds * FPS)) / FPS
    return sum((height * np.exp(-0.5 * ((at - t) / 0.05) ** 2) for t in times), np.zeros(len(at)))


def test_wrist_speed_is_of_the_faster_wrist_relative_to_the_pelvis() -> None:
    positions = np.zeros((3, 55, 3), np.float32)
    positions[1:, :, 0] += 5.0  # the whole body jumps: no gesture
    positions[2, SMPLX_55.index("left_wrist"), 1] = 0.01
    positions[2, SMPLX_55.index("right_wrist"), 2] = 0.02
    assert wrist_speed(positions, FPS) == pytest.approx([0.0, 0.0, 0.6], abs=1e-5)


def test_arm_speed_is_relative_to_the_shoulder_of_each_side() -> None:
    positions = np.zeros((3, 55, 3), np.float32)
    for joint in ("left_shoulder", "left_wrist"):  # the trunk turns: no gesture
        positions[1:, SMPLX_55.index(joint), 2] = 0.05
    positions[2, SMPLX_55.index("right_wrist"), 2] = 0.02
    assert arm_speed(positions, FPS) == pytest.approx([0.0, 0.0, 0.6], abs=1e-5)


def test_strokes_are_the_peaks_that_are_fast_enough() -> None:
    speed = bumps([1.0, 3.0], 5.0) + bumps([2.0], 5.0, 0.3)
    assert stroke_times(speed, FPS) == pytest.approx([1.0, 3.0], abs=0.03)


def test_of_two_near_peaks_the_faster_one_counts() -> None:
    speed = np.maximum(bumps([1.0], 3.0, 0.8), bumps([1.2], 3.0, 1.2))
    assert stroke_times(speed, FPS) == pytest.approx([1.2], abs=0.03)


def test_distance_is_signed_and_to_the_nearest_stress() -> None:
    away = nearest(np.array([1.1, 1.9]), np.array([1.0, 2.0]))
    assert away == pytest.approx([0.1, -0.1])
    assert np.isinf(nearest(np.array([1.0]), np.array([]))).all()


def utterances(lag: float | None) -> list[Utterance]:
    """Ten utterances; strokes `lag` after stresses, or anywhere."""
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


def test_strokes_anywhere_are_not() -> None:
    assert stroke_test(utterances(None), rounds=300).p_value > 0.05


def test_a_body_that_never_moves_is_not_significant() -> None:
    still = [Utterance(np.array([]), np.array([1.0, 2.0]), 5.0) for _ in range(4)]
    report = stroke_test(still, rounds=50)
    assert report.p_value == 1.0
    assert report.strokes == 0


def test_mute_report_compares_speed_and_strokes() -> None:
    loud, quiet = bumps([1.0, 2.0, 3.0], 6.0), np.full(180, 0.05)
    report = mute_report([loud], [quiet], FPS)
    assert report.muted_speed == pytest.approx(0.05)
    assert report.ratio == pytest.approx(0.05 / loud.mean())
    assert report.strokes_per_minute == pytest.approx(30.0)
    assert report.muted_strokes_per_minute == 0.0
