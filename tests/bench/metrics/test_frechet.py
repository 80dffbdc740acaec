import numpy as np
import pytest

from bench.metrics.frechet import frechet_distance
from engine.errors import ShapeError

# Four points with mean 0 and variance 4/3 along each axis (sums of squares 4, over three).
SQUARE = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])


def test_equal_sets_have_distance_zero():
    assert frechet_distance(SQUARE, SQUARE[::-1]) == pytest.approx(0.0, abs=1e-12)


def test_a_shift_adds_its_square():
    assert frechet_distance(SQUARE, SQUARE + np.array([3, 4])) == pytest.approx(25.0)


def test_spread_adds_the_squared_difference_of_deviations():
    # Deviations sqrt(4/3) and twice that, in two directions.
    assert frechet_distance(SQUARE, 2 * SQUARE) == pytest.approx(2 * 4 / 3)
    assert frechet_distance(2 * SQUARE, SQUARE) == pytest.approx(2 * 4 / 3)


def test_correlation_counts():
    # Covariances [[1, 1], [1, 1]] and [[1, -1], [-1, 1]] have the product 0: tr + tr = 4.
    line = np.array([[1.0, 1], [-1, -1], [0, 0]])
    across = line * [1, -1]
    assert frechet_distance(line, across) == pytest.approx(4.0)


def test_one_dimension():
    a, b = np.array([[0.0], [2.0]]), np.array([[5.0], [5.0]])
    assert frechet_distance(a, b) == pytest.approx(16 + 2)


@pytest.mark.scipy
def test_against_the_formula_with_a_matrix_root():
    from scipy.linalg import sqrtm

    random = np.random.default_rng(3)
    a = random.standard_normal((200, 6)) @ random.standard_normal((6, 6))
    b = random.standard_normal((150, 6)) @ random.standard_normal((6, 6)) + 1
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(c @ d).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(c + d - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_features_of_other_shapes_are_refused():
    for bad in (SQUARE[:, :1], SQUARE[0], SQUARE[:1]):
        with pytest.raises(ShapeError):
            frechet_distance(SQUARE, bad)
