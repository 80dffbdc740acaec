from itertools import permutations

import numpy as np
import pytest

from bench.metrics.diversity import l1_between_pairs, l1_from_mean


def three() -> np.ndarray:
    """One joint at 0, 1 and 5 m along x, and up to a metre along y."""
    positions = np.zeros((3, 1, 3))
    positions[:, 0, 0] = [0, 1, 5]
    positions[:, 0, 1] = [0, 1, -1]
    return positions


def test_distance_from_the_mean():
    # x: |0-2| + |1-2| + |5-2| = 6; y: 0 + 1 + 1 = 2; over three frames.
    assert l1_from_mean(three()) == pytest.approx(8 / 3)


def test_distance_between_pairs():
    # x: 1 + 5 + 4 = 10; y: 1 + 1 + 2 = 4; both orders, halved, over 3 * 2 pairs.
    assert l1_between_pairs(three()) == pytest.approx(14 / 6)
    assert l1_between_pairs(three()[:1]) == 0.0


def test_pairs_equal_the_sum_of_the_equation():
    positions = np.random.default_rng(0).standard_normal((7, 4, 3))
    pairs = permutations(positions.reshape(7, -1), 2)
    expected = sum(np.abs(a - b).sum() for a, b in pairs) / (2 * 7 * 6)
    assert l1_between_pairs(positions) == pytest.approx(expected)


def test_more_joints_and_more_spread_give_more():
    wide = np.concatenate([three(), 2 * three()], axis=1)
    assert l1_from_mean(wide) == pytest.approx(3 * 8 / 3)
    assert l1_between_pairs(wide) == pytest.approx(3 * 14 / 6)
