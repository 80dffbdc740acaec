"""Figures of the clips that come without a skeleton: all joints' axes along the world's."""

import numpy as np
import pytest

from engine import rotation as rot
from engine.skeleton import SMPLX_55
from training.playnet import _chains, world_rotations
from training.smartbody import SourceMotion

JOINTS = sorted({name for chain in _chains() for name in chain})


def _figure(frames=2, **turned):
    """A figure in T-pose but for the joints given as (axis, degrees)."""
    rotations = {name: np.zeros((frames, 3)) for name in JOINTS}
    for name, (axis, degrees) in turned.items():
        rotations[name][:, "xyz".index(axis)] = np.radians(degrees)
    return SourceMotion(np.arange(frames) / 30, rotations, {})


def _bone(world, joint, end):
    """Direction of a bone of our own skeleton under world rotations."""
    offset = SMPLX_55.offsets[SMPLX_55.index(end)].astype(np.float64)
    return rot.rotate(world[joint], np.broadcast_to(rot.normalize(offset), (2, 3)))[0]


@pytest.mark.parametrize(
    ("joint", "end", "direction"),
    [
        ("left_shoulder", "left_elbow", [1, 0, 0]),
        ("right_elbow", "right_wrist", [-1, 0, 0]),
        ("left_hip", "left_knee", [0, -1, 0]),
        ("right_knee", "right_ankle", [0, -1, 0]),
    ],
)
def test_without_rotations_it_stands_in_a_t_pose(joint, end, direction):
    np.testing.assert_allclose(_bone(world_rotations(_figure()), joint, end), direction, atol=1e-6)


def test_all_joints_but_jaw_and_eyes_are_known():
    names = set(SMPLX_55.joint_names) - {"jaw", "left_eye", "right_eye"}
    assert set(world_rotations(_figure())) == names


def test_arms_hang_when_turned_about_z():
    world = world_rotations(_figure(LeftArm=("z", -67), RightArm=("z", 67)))
    for side in ("left", "right"):
        assert _bone(world, f"{side}_shoulder", f"{side}_elbow")[1] == pytest.approx(
            -np.sin(np.radians(67)), abs=1e-6
        )


def test_fingers_follow_the_hand_and_bend_on_their_own():
    world = world_rotations(_figure(LeftForeArm=("y", 90), LeftHandIndex2=("z", -30)))
    np.testing.assert_allclose(world["left_index1"], world["left_wrist"], atol=1e-9)
    np.testing.assert_allclose(rot.angle(world["left_index2"], world["left_wrist"]), np.pi / 6)
    np.testing.assert_allclose(rot.angle(world["right_index2"], world["right_wrist"]), 0, atol=1e-6)


def test_the_figure_is_turned_to_face_z():
    straight, turned = (world_rotations(_figure(Hips=("y", d), Neck=("x", 20))) for d in (0, 130))
    for name in ("pelvis", "head", "left_wrist"):
        np.testing.assert_allclose(rot.angle(straight[name], turned[name]), 0, atol=1e-6)


def test_one_turn_for_the_whole_clip():
    """Turning about while gesturing is motion, not the direction of the recording."""
    figure = _figure()
    figure.rotations["Hips"][:, 1] = [-0.3, 0.3]
    world = world_rotations(figure)
    np.testing.assert_allclose(rot.log(world["pelvis"])[:, 1], [-0.3, 0.3], atol=1e-6)
