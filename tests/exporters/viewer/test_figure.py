"""The mannequin follows its bones, which keep their lengths, and stands on its feet."""

import numpy as np
import pytest

from engine.motion import rotation
from engine.motion.skeleton import SMPLX_55, Skeleton
from exporters.viewer.figure import Figure

FIGURE = Figure(SMPLX_55)
JOINTS = len(SMPLX_55.joint_names)
STANDING = np.array([0.0, SMPLX_55.rest_height - SMPLX_55.offsets[0, 1], 0.0], np.float32)


def turned(**joints: tuple[float, float, float]) -> np.ndarray:
    rotations = rotation.identity(JOINTS)
    for name, rotvec in joints.items():
        rotations[SMPLX_55.index(name)] = rotation.exp(np.array(rotvec, np.float32))
    return rotations


def edges(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vertices[faces[:, 0]] - vertices[faces[:, 1]], axis=1)


def test_every_part_has_faces_for_all_its_vertices() -> None:
    pose = FIGURE.pose(turned(), STANDING)
    assert set(pose.parts) == {"shirt", "trousers", "shoes", "skin"} == set(FIGURE.faces)
    for name, vertices in pose.parts.items():
        assert set(FIGURE.faces[name].ravel()) == set(range(len(vertices)))


def test_the_figure_stands_on_the_floor() -> None:
    pose = FIGURE.pose(turned(), STANDING)
    lowest = pose.parts["shoes"][:, 1].min()
    assert -0.02 < lowest < 0.01


def test_rigid_parts_keep_their_lengths() -> None:
    random = np.random.default_rng(1)
    wild = rotation.normalize(random.normal(size=(JOINTS, 4)).astype(np.float32))
    rest, pose = FIGURE.pose(turned(), STANDING), FIGURE.pose(wild, STANDING)
    for name in ("shoes", "skin"):
        faces = FIGURE.faces[name]
        np.testing.assert_allclose(
            edges(pose.parts[name], faces), edges(rest.parts[name], faces), atol=2e-5
        )


def test_an_arm_takes_its_hand_along_and_leaves_the_legs() -> None:
    rest = FIGURE.pose(turned(), STANDING)
    pose = FIGURE.pose(turned(left_shoulder=(0.0, 0.0, -1.2)), STANDING)
    hand = rest.parts["skin"][:, 0] > 0.70
    assert (pose.parts["skin"][hand, 1] < rest.parts["skin"][hand, 1] - 0.3).all()
    np.testing.assert_array_equal(pose.parts["trousers"], rest.parts["trousers"])


def test_translation_moves_everything() -> None:
    step = np.array([0.5, 0.1, -0.2], np.float32)
    rest, moved = FIGURE.pose(turned(), STANDING), FIGURE.pose(turned(), STANDING + step)
    for name, vertices in rest.parts.items():
        np.testing.assert_allclose(moved.parts[name], vertices + step, atol=1e-5)
    np.testing.assert_allclose(moved.head_position, rest.head_position + step, atol=1e-5)


def test_the_head_turns_with_the_neck() -> None:
    pose = FIGURE.pose(turned(neck=(0.0, 0.7, 0.0)), STANDING)
    forward = rotation.rotate(pose.head_rotation, np.array([0.0, 0.0, 1.0], np.float32))
    np.testing.assert_allclose(forward, [np.sin(0.7), 0.0, np.cos(0.7)], atol=1e-5)


def test_a_bending_trunk_stays_whole() -> None:
    rest = FIGURE.pose(turned(), STANDING)
    pose = FIGURE.pose(turned(spine1=(0.3, 0.0, 0.2), spine2=(0.2, 0.4, 0.0)), STANDING)
    before, after = (edges(p.parts["shirt"], FIGURE.faces["shirt"]) for p in (rest, pose))
    assert (np.abs(after - before) < 0.04).all()


@pytest.mark.parametrize("joints", [1, 10, 25])
def test_skeletons_with_fewer_joints_show_the_bones_they_have(joints: int) -> None:
    partial = Skeleton(
        SMPLX_55.joint_names[:joints], SMPLX_55.parents[:joints], SMPLX_55.rest_offsets[:joints]
    )
    figure = Figure(partial)
    pose = figure.pose(rotation.identity(joints), STANDING)
    assert all(np.isfinite(v).all() for v in pose.parts.values())
