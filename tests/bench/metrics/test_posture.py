"""Angles, spreads and weight shifts of hand-made figures."""

import numpy as np
import pytest

from bench.metrics.posture import angles, rotation_spread, weight_shifts
from engine.motion.rotation import exp, identity, multiply

TIMES = np.arange(120) / 30


def test_yaw_is_relative_to_the_hips() -> None:
    positions = np.zeros((2, 55, 3))
    positions[:, 1, 0], positions[:, 2, 0] = 0.1, -0.1  # hips of a figure that faces +z
    turned = exp(np.array([[0.2, 0.0, 0.0], [0.0, 0.3, 0.0]]))
    found = angles(positions, turned)
    assert found == pytest.approx(np.rad2deg([[0.2, 0, 0], [0, 0.3, 0]]), abs=1e-6)
    whole = exp(np.tile([0.0, 0.5, 0.0], (2, 1)))
    positions[:, 1] = [0.1 * np.cos(0.5), 0.0, -0.1 * np.sin(0.5)]
    positions[:, 2] = -positions[:, 1]
    assert angles(positions, multiply(whole, turned)) == pytest.approx(found, abs=1e-4)


def test_spread_is_the_deviation_of_the_6d_rotation() -> None:
    rotations = identity(len(TIMES), 2)
    angle = 0.1 * np.sin(2 * np.pi * TIMES)
    rotations[:, 0] = exp(angle[:, None] * np.array([0.0, 1.0, 0.0]))
    found = rotation_spread(rotations)
    assert found[0] == pytest.approx(0.1 / np.sqrt(2), rel=0.02)
    assert found[1] == pytest.approx(0.0, abs=1e-9)


def test_a_weight_shift_is_a_move_from_one_foot_to_the_other() -> None:
    positions = np.zeros((len(TIMES), 55, 3))
    positions[:, 7, 0], positions[:, 8, 0] = 0.1, -0.1
    positions[:, 0, 0] = 0.08 * np.sin(2 * np.pi * 0.5 * TIMES)
    every = np.ones(len(TIMES), bool)
    assert weight_shifts(positions, every) == 3  # two cycles
    assert weight_shifts(positions, TIMES < 2) == 1
    positions[:, 0, 0] *= 0.1  # stays near the middle
    assert weight_shifts(positions, every) == 0
