"""Strokes and distances in hand-made speeds."""

import numpy as np
import pytest

from bench.metrics.strokes import arm_speed, nearest, stroke_times, wrist_speed
from engine.motion.skeleton import SMPLX_55
from tests.support.arm_speeds import FPS, peaks


def test_wrist_speed_is_of_the_faster_wrist_relative_to_the_pelvis() -> None:
    positions = np.zeros((3, 55, 3), np.float32)
    positions[1:, :, 0] += 5.0  # the whole body jumps: not a gesture
    positions[2, SMPLX_55.index("left_wrist"), 1] = 0.01
    positions[2, SMPLX_55.index("right_wrist"), 2] = 0.02
    assert wrist_speed(positions, FPS) == pytest.approx([0.0, 0.0, 0.6], abs=1e-5)


def test_arm_speed_is_relative_to_the_shoulder_of_each_side() -> None:
    positions = np.zeros((3, 55, 3), np.float32)
    for joint in ("left_shoulder", "left_wrist"):  # the trunk turns: not a gesture
        positions[1:, SMPLX_55.index(joint), 2] = 0.05
    positions[2, SMPLX_55.index("right_wrist"), 2] = 0.02
    assert arm_speed(positions, FPS) == pytest.approx([0.0, 0.0, 0.6], abs=1e-5)


def test_strokes_are_the_peaks_that_are_fast_enough() -> None:
    speed = peaks([1.0, 3.0], 5.0) + peaks([2.0], 5.0, 0.3)
    assert stroke_times(speed, FPS) == pytest.approx([1.0, 3.0], abs=0.03)


def test_of_two_near_peaks_the_faster_one_counts() -> None:
    speed = np.maximum(peaks([1.0], 3.0, 0.8), peaks([1.2], 3.0, 1.2))
    assert stroke_times(speed, FPS) == pytest.approx([1.2], abs=0.03)


def test_distance_is_signed_and_to_the_nearest_stress() -> None:
    away = nearest(np.array([1.1, 1.9]), np.array([1.0, 2.0]))
    assert away == pytest.approx([0.1, -0.1])
    assert np.isinf(nearest(np.array([1.0]), np.array([]))).all()
