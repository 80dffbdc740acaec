"""Leg IK: reached targets, flat feet, standing figures."""

import numpy as np
import pytest

from engine.motion import rotation as rot
from engine.motion.skeleton import SMPLX_55
from training.data.contacts import floor_height, foot_contacts
from training.sources.leg_ik import FOOT_HEIGHT_M, bend_legs, level_feet, make_motion, plant, stand

OFFSETS = SMPLX_55.offsets.astype(np.float64)
ANKLES = ("left_ankle", "right_ankle")


def _positions(rotations, translation):
    return rot.forward_kinematics(SMPLX_55.parents, OFFSETS, rotations, translation)[0]


def _swaying(frames=12):
    """A figure whose knees and pelvis move, feet hanging in the air."""
    rotations = rot.identity(frames, 55).astype(np.float64)
    sway = np.sin(np.linspace(0, 3, frames))
    for name, axis, size in (("pelvis", 2, 0.05), ("left_knee", 0, 0.3), ("right_knee", 0, 0.25)):
        vector = np.zeros((frames, 3))
        vector[:, axis] = size * (0.6 + 0.4 * sway)
        rotations[:, SMPLX_55.index(name)] = rot.exp(vector)
    return rotations


def test_bent_legs_reach_their_goals_and_keep_the_feet_level():
    rotations = _swaying()
    translation = np.zeros((12, 3))
    before = _positions(rotations, translation)
    goals = {n: before[:, SMPLX_55.index(n)] + [0.02, 0.03, -0.02] for n in ANKLES}
    bent = bend_legs(rotations, translation, goals)
    after = _positions(bent, translation)
    for name, goal in goals.items():
        np.testing.assert_allclose(after[:, SMPLX_55.index(name)], goal, atol=1e-3)
    _, was = rot.forward_kinematics(SMPLX_55.parents, OFFSETS, rotations, translation)
    _, now = rot.forward_kinematics(SMPLX_55.parents, OFFSETS, bent, translation)
    feet = [SMPLX_55.index("left_foot"), SMPLX_55.index("right_foot")]
    assert rot.angle(was[:, feet], now[:, feet]).max() < 1e-4


def test_knees_bend_forwards():
    rotations = rot.identity(1, 55).astype(np.float64)
    positions = _positions(rotations, np.zeros((1, 3)))
    goals = {n: positions[:, SMPLX_55.index(n)] + [0.0, 0.1, 0.0] for n in ANKLES}
    bent = _positions(bend_legs(rotations, np.zeros((1, 3)), goals), np.zeros((1, 3)))[0]
    for side in ("left", "right"):
        hip, knee, ankle = (bent[SMPLX_55.index(f"{side}_{n}")] for n in ("hip", "knee", "ankle"))
        assert knee[2] > (hip[2] + ankle[2]) / 2 + 0.1


def test_a_planted_figure_stands_on_the_floor_and_does_not_slide():
    motion = plant(_swaying())
    positions = motion.world_positions()
    ankles = positions[:, [SMPLX_55.index(n) for n in ANKLES]]
    assert np.ptp(ankles, axis=0).max() < 2e-3
    assert floor_height(positions) == pytest.approx(FOOT_HEIGHT_M, abs=1e-3)
    assert motion.poses.contacts.min() == 1.0
    np.testing.assert_allclose(motion.poses.translation[0, [0, 2]], 0.0, atol=1e-6)


def test_quaternions_never_change_sign_from_frame_to_frame():
    rotations = _swaying()
    rotations[5:] *= -1.0
    poses = make_motion(rotations, np.zeros((12, 3))).poses
    assert (poses.rotations[1:] * poses.rotations[:-1]).sum(-1).min() > 0.9


def test_a_foot_in_the_air_has_no_contact():
    positions = np.zeros((4, 55, 3), np.float32)
    positions[:, 10, 2] = [0.0, 0.02, 0.04, 0.041]
    contacts = foot_contacts(positions)
    np.testing.assert_array_equal(contacts[:, 2], [0, 0, 1, 1])
    np.testing.assert_array_equal(contacts[:, [0, 1, 3]], 1.0)


def test_standing_puts_hips_and_ankles_at_their_targets():
    hips = np.array([[0.0, 0.84, 0.0]] * 2)
    ankles = {
        "left_ankle": hips * 0 + [0.1, 0.08, 0.0],
        "right_ankle": hips * 0 + [-0.1, 0.08, 0.0],
    }
    motion = stand(rot.identity(2, 55).astype(np.float64), hips, ankles)
    points = motion.world_positions()[0]
    width = points[SMPLX_55.index("left_ankle"), 0] - points[SMPLX_55.index("right_ankle"), 0]
    assert width == pytest.approx(0.2, abs=1e-3)


def test_standing_soles_are_turned_flat_and_moving_ones_do_not_count():
    """A source whose rest pose has its toes 20 degrees up stands with them turned down."""
    frames, pitch = 20, np.radians(20.0)
    down = rot.exp(np.array([pitch, 0.0, 0.0]))
    yaw = rot.exp(np.stack([np.zeros(frames), np.linspace(0, 1, frames), np.zeros(frames)], -1))
    ankles = {name: np.zeros((frames, 3)) for name in ANKLES}
    ankles["left_ankle"][10:, 2] = np.arange(1, 11) * 0.1
    world = {name: rot.multiply(yaw, np.broadcast_to(down, (frames, 4))) for name in ANKLES}
    world["left_ankle"][9:] = rot.exp(np.array([1.0, 0.0, 0.0]))
    turned = level_feet(world, ankles, 30)
    assert turned == {name: pytest.approx(20.0, abs=0.3) for name in ANKLES}
    np.testing.assert_allclose(rot.angle(world["right_ankle"], yaw), 0, atol=1e-6)
    np.testing.assert_allclose(rot.angle(world["left_ankle"], yaw)[:9], 0, atol=0.01)


def test_feet_that_never_stand_are_judged_by_all_frames():
    ankles = {"left_ankle": np.cumsum(np.ones((5, 3)), 0)}
    world = {"left_ankle": rot.identity(5).astype(float)}
    assert level_feet(world, ankles, 30) == {"left_ankle": pytest.approx(0.0)}


def test_a_motion_keeps_its_frame_rate():
    motion = plant(_swaying(), 15)
    assert motion.format.clock.frame_rate == 15
    assert motion.poses.contacts.min() == 1.0
