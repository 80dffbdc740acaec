import numpy as np
import pytest

from engine.motion import rotation as rot
from engine.motion.channels import MOTION
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.skeleton import BodyPart
from training.data.vectors import (
    join_parts,
    local_translation,
    motion_vector,
    part_vector,
    world_translation,
)


@pytest.fixture
def motion():
    random = np.random.default_rng(2)
    rotations = rot.normalize(random.normal(size=(6, 55, 4))).astype(np.float32)
    rotations[:, 23:25] = rot.identity(6, 2)
    translation = random.normal(size=(6, 3)).astype(np.float32)
    translation -= translation[:1] * [1.0, 0.0, 1.0]
    contacts = random.integers(0, 2, (6, 4)).astype(np.float32)
    face = random.uniform(size=(6, ARKIT_51.width)).astype(np.float32)
    chunk = PoseChunk(0, rotations, translation.astype(np.float32), contacts, face)
    return Motion(PoseFormat(), chunk)


def test_velocity_is_the_forward_difference():
    local = local_translation(np.array([[0, 1, 0], [0.1, 1.1, 0], [0.1, 1, 0.3]]), fps=30)
    np.testing.assert_allclose(local, [[3, 1, 0], [0, 1.1, 9], [0, 1, 0]], atol=1e-5)


def test_translation_round_trip(motion):
    there = local_translation(motion.poses.translation, 30)
    back = world_translation(there, 30, np.zeros(2))
    np.testing.assert_allclose(back, motion.poses.translation, atol=1e-5)


def test_motion_vector_round_trip(motion):
    fields = MOTION.unpack(motion_vector(motion))
    rotations = rot.from_sixd(fields["rot6d"].reshape(len(motion), -1, 6))
    assert rot.angle(rotations, motion.poses.rotations).max() < 1e-3
    translation = world_translation(fields["translation"], 30)
    np.testing.assert_allclose(translation, motion.poses.translation, atol=1e-5)
    np.testing.assert_array_equal(fields["contact"], motion.poses.contacts)


def test_joined_parts_equal_the_motion_vector(motion):
    vector = motion_vector(motion)
    parts = {part: part_vector(part, motion) for part in BodyPart}
    widths = {part: x.shape[-1] for part, x in parts.items()}
    assert widths == {
        BodyPart.FACE: 57, BodyPart.UPPER: 78, BodyPart.HANDS: 180, BodyPart.LOWER: 61,
    }  # fmt: skip
    joined, face = join_parts(parts)
    np.testing.assert_allclose(joined, vector, atol=1e-6)
    np.testing.assert_array_equal(face, motion.poses.face)
