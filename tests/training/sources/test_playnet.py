"""Figures of PNGestures clips, which have no skeleton file."""

import numpy as np
import pytest

from engine.motion import rotation as rot
from engine.motion.skeleton import SMPLX_55
from training.sources.playnet import _chains, figure_of
from training.sources.retarget import retarget
from training.sources.skeleton_map import load_map
from training.sources.smartbody import SourceMotion

JOINTS = sorted({name for chain in _chains() for name in chain})
PLAYNET = load_map("playnet")


def _figure(frames=2, **turned):
    """A figure in T-pose but for the joints given as (axis, degrees)."""
    rotations = {name: np.zeros((frames, 3)) for name in JOINTS}
    for name, (axis, degrees) in turned.items():
        rotations[name][:, "xyz".index(axis)] = np.radians(degrees)
    return figure_of(SourceMotion(np.arange(frames) / 30, rotations, {}), 30)


def _world(figure):
    """World rotations `[T, 55, 4]` of the retargeted figure."""
    motion = retarget(figure, PLAYNET)
    rotations = motion.poses.rotations.astype(np.float64)
    offsets, origin = SMPLX_55.offsets.astype(np.float64), np.zeros((len(rotations), 3))
    _, world = rot.forward_kinematics(SMPLX_55.parents, offsets, rotations, origin)
    return {name: world[:, j] for j, name in enumerate(SMPLX_55.joint_names)}


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
    # Legs bend a little so that both feet stand.
    atol = 0.12 if joint.endswith(("hip", "knee")) else 1e-6
    np.testing.assert_allclose(_bone(_world(_figure()), joint, end), direction, atol=atol)


def test_its_rest_is_that_t_pose_and_it_does_not_say_where_it_is():
    figure = _figure()
    rest = {name: figure.rest_positions[j] for j, name in enumerate(figure.names)}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        arm = rest[f"{side}Hand"] - rest[f"{side}Arm"]
        np.testing.assert_allclose(arm / np.linalg.norm(arm), [sign, 0, 0], atol=1e-9)
        leg = rest[f"{side}Foot"] - rest[f"{side}UpLeg"]
        np.testing.assert_allclose(leg / np.linalg.norm(leg), [0, -1, 0], atol=1e-9)
    assert figure.positions is None
    names = set(SMPLX_55.joint_names) - {"jaw", "left_eye", "right_eye"}
    assert set(PLAYNET.within(figure.names).joints) == names


def test_arms_hang_when_turned_about_z():
    world = _world(_figure(LeftArm=("z", -67), RightArm=("z", 67)))
    for side in ("left", "right"):
        assert _bone(world, f"{side}_shoulder", f"{side}_elbow")[1] == pytest.approx(
            -np.sin(np.radians(67)), abs=1e-6
        )


def test_fingers_follow_the_hand_and_bend_on_their_own():
    world = _world(_figure(LeftForeArm=("y", 90), LeftHandIndex2=("z", -30)))
    np.testing.assert_allclose(rot.angle(world["left_index1"], world["left_wrist"]), 0, atol=1e-6)
    bent = rot.angle(world["left_index2"], world["left_wrist"])
    np.testing.assert_allclose(bent, np.pi / 6, atol=1e-6)
    np.testing.assert_allclose(rot.angle(world["right_index2"], world["right_wrist"]), 0, atol=1e-6)


def test_the_figure_is_turned_to_face_z():
    straight, turned = (_world(_figure(Hips=("y", d), Neck=("x", 20))) for d in (0, 130))
    for name in ("pelvis", "head", "left_wrist"):
        np.testing.assert_allclose(rot.angle(straight[name], turned[name]), 0, atol=1e-6)


def test_one_turn_for_the_whole_clip():
    """Turning about while gesturing is motion, not the direction of the recording."""
    rotations = {name: np.zeros((2, 3)) for name in JOINTS}
    rotations["Hips"][:, 1] = [-0.3, 0.3]
    figure = figure_of(SourceMotion(np.arange(2) / 30, rotations, {}), 30)
    pelvis = _world(figure)["pelvis"]
    np.testing.assert_allclose(rot.log(pelvis)[:, 1], [-0.3, 0.3], atol=1e-6)
