import numpy as np
import pytest

from bench.metrics.face import mean_squared_error, velocity_difference

TRUE = np.array([[0.0, 0], [1, 0], [0, 0]])
MADE = np.array([[0.0, 0], [0, 0], [0, 2]])


def test_mean_of_squares():
    assert mean_squared_error(MADE, TRUE) == pytest.approx((1 + 4) / 6)
    assert mean_squared_error(TRUE, TRUE) == 0.0


def test_velocity_difference_is_per_second():
    # Changes of MADE - TRUE: (-1, 0), then (1, 2): 4 in four numbers, at 30 frames a second.
    assert velocity_difference(MADE, TRUE, 30.0) == pytest.approx(30.0)
    # A constant error is no error of velocity.
    assert velocity_difference(TRUE + 5, TRUE, 30.0) == 0.0
    assert velocity_difference(TRUE[:1], TRUE[:1], 30.0) == 0.0
