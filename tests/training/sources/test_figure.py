"""Figures: forward kinematics, rotation, conversion from motion."""

import numpy as np
import pytest

from engine.errors import ClipError
from engine.motion import rotation as rot
from tests.support.motion_writers import figure_of_motion
from tests.support.training_fixtures import waving
from training.sources.figure import world_poses

RIGHT = float(np.pi / 2)


def test_two_joints_by_hand() -> None:
    """The root at (1, 2, 3) is turned left by 90 degrees; its child is one to the side of it."""
    rotations = rot.identity(1, 2).astype(float)
    rotations[0, 0] = rot.exp(np.array([0.0, 0.0, RIGHT]))
    rotations[0, 1] = rot.exp(np.array([RIGHT, 0.0, 0.0]))
    places = np.array([[[1.0, 2.0, 3.0], [1.0, 0.0, 0.5]]])
    positions, world = world_poses((-1, 0), rotations, places)
    np.testing.assert_allclose(positions, [[[1, 2, 3], [1, 3, 3.5]]], atol=1e-12)
    # The child's own turn comes first: y to z, which the root leaves as it is.
    np.testing.assert_allclose(
        rot.rotate(world[0, 1], np.array([0.0, 1.0, 0.0])), [0, 0, 1], atol=1e-12
    )
    np.testing.assert_allclose(
        rot.rotate(world[0, 1], np.array([1.0, 0.0, 0.0])), [0, 1, 0], atol=1e-12
    )


def test_a_joint_may_move_from_its_parent() -> None:
    places = np.array([[[0.0, 0, 0], [1, 0, 0]], [[0, 0, 0], [2, 0, 0]]])
    positions, _ = world_poses((-1, 0), rot.identity(2, 2).astype(float), places)
    np.testing.assert_array_equal(positions[:, 1], [[1, 0, 0], [2, 0, 0]])


def test_a_motion_is_a_figure() -> None:
    motion = waving(3)
    figure = figure_of_motion(motion)
    np.testing.assert_allclose(figure.positions, motion.world_positions(), atol=1e-5)
    assert figure.frame_rate == 30
    assert len(figure) == len(motion)
    assert figure.rest_positions[figure.index("left_wrist"), 0] > 0.6


def test_rest_and_motion_are_turned_apart() -> None:
    figure = figure_of_motion(waving(1))
    lying = rot.exp(np.array([RIGHT, 0.0, 0.0]))
    turned = figure.turned(lying, rot.identity().astype(float))
    np.testing.assert_array_equal(turned.positions, figure.positions)
    np.testing.assert_allclose(turned.rest_positions[:, 2], figure.rest_positions[:, 1], atol=1e-12)
    relative = rot.multiply(turned.rest_rotations, rot.inverse(figure.rest_rotations))
    assert rot.angle(relative, np.broadcast_to(lying, relative.shape)).max() < 1e-7


def test_an_unknown_joint_is_named() -> None:
    with pytest.raises(ClipError, match=r"expected a joint 'tail', .* pelvis"):
        figure_of_motion(waving(1, 2)).index("tail")
