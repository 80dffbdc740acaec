import numpy as np
import pytest

from engine.motion.skeleton import CONTACT_JOINTS
from training.data.contacts import STILL_M, floor_height, foot_contacts


def _still(frames):
    return np.zeros((frames, 55, 3), np.float32)


def test_feet_that_move_less_than_the_threshold_have_contact():
    positions = _still(4)
    foot = CONTACT_JOINTS[2]
    positions[:, foot, 1] = np.cumsum([0.0, 0.9 * STILL_M, 1.1 * STILL_M, 0.0])
    contacts = foot_contacts(positions)
    np.testing.assert_array_equal(contacts[:, 2], [1, 0, 1, 1])
    np.testing.assert_array_equal(contacts[:, [0, 1, 3]], 1)
    assert contacts.dtype == np.float32


def test_movement_is_measured_in_3d():
    positions = _still(2)
    positions[1, CONTACT_JOINTS[0]] = 0.7 * STILL_M
    assert foot_contacts(positions)[0].tolist() == [0, 1, 1, 1]


def test_other_joints_are_ignored():
    positions = _still(3)
    others = [j for j in range(55) if j not in CONTACT_JOINTS]
    positions[:, others] = np.random.default_rng(1).normal(size=(3, len(others), 3))
    assert foot_contacts(positions).min() == 1
    assert floor_height(positions) == 0.0


def test_floor_is_the_median_of_the_lowest_foot():
    positions = _still(5)
    positions[:, list(CONTACT_JOINTS), 1] = 0.3
    positions[:, CONTACT_JOINTS[1], 1] = [0.02, 0.02, 0.02, 0.9, -4.0]
    assert floor_height(positions) == pytest.approx(0.02)


def test_threshold_scales_with_the_frame_time():
    positions = _still(3)
    positions[:, CONTACT_JOINTS[0], 0] = np.cumsum([0.0, 1.5 * STILL_M, 2.5 * STILL_M])
    assert foot_contacts(positions)[:, 0].tolist() == [0, 0, 1]
    assert foot_contacts(positions, 15)[:, 0].tolist() == [1, 0, 1]
