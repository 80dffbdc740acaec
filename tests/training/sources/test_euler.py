"""Euler angles: known values, every order, gimbal lock."""

from itertools import permutations

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.motion import rotation as rot
from training.sources.euler import from_euler, to_euler

ORDERS = ["".join(order) for order in permutations("XYZ")]


def test_the_first_channel_is_the_outermost_turn():
    # X first: y turns to z, and then the turn about z, which is the outer one, leaves z alone.
    turned = rot.rotate(from_euler(np.array([90.0, 90.0]), "ZX"), np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(turned, [0, 0, 1], atol=1e-12)
    turned = rot.rotate(from_euler(np.array([90.0, 90.0]), "XZ"), np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(turned, [-1, 0, 0], atol=1e-12)


def test_no_axis_is_no_turn():
    np.testing.assert_array_equal(from_euler(np.zeros((3, 0)), ""), rot.identity(3))


@pytest.mark.parametrize("order", ORDERS)
def test_turns_come_back_in_every_order(order):
    random = np.random.default_rng(1)
    degrees = random.uniform(-1, 1, (200, 3)) * [179.0, 89.0, 179.0]
    np.testing.assert_allclose(to_euler(from_euler(degrees, order), order), degrees, atol=1e-6)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("middle", [90.0, -90.0])
def test_where_two_axes_are_one_the_rotation_still_comes_back(order, middle):
    degrees = np.array([[33.0, middle, 21.0], [-120.0, middle, 70.0]])
    turned = from_euler(degrees, order)
    assert rot.angle(turned, from_euler(to_euler(turned, order), order)).max() < 1e-6


@pytest.mark.parametrize("order", ["XYX", "XY", "xyz"])
def test_other_orders_are_refused(order):
    with pytest.raises(ConfigError, match="order of the three axes"):
        to_euler(rot.identity().astype(float), order)
