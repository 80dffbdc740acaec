from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.motion import rotation as rot
from engine.motion.face_basis import ARKIT_51, FLAME_100
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.skeleton import SMPLX_55
from training.data.mirror import mirror


@pytest.fixture
def motion():
    random = np.random.default_rng(1)
    rotations = rot.normalize(random.normal(size=(5, 55, 4))).astype(np.float32)
    arrays = [random.normal(size=(5, n)).astype(np.float32) for n in (3, 4, ARKIT_51.width)]
    return Motion(PoseFormat(), PoseChunk(0, rotations, *arrays))


def test_mirroring_twice_is_the_identity(motion):
    again = mirror(mirror(motion)).poses
    for name in ("rotations", "translation", "contacts", "face"):
        np.testing.assert_array_equal(getattr(again, name), getattr(motion.poses, name))


def test_raised_left_arm_becomes_right_arm():
    rotations = rot.identity(1, 55)
    rotations[0, SMPLX_55.index("left_shoulder")] = rot.exp(np.array([0.0, 0.0, 1.2]))
    zeros = [np.zeros((1, n), np.float32) for n in (3, 4, 51)]
    points = mirror(Motion(PoseFormat(), PoseChunk(0, rotations, *zeros))).world_positions()[0]
    left, right = (points[SMPLX_55.index(f"{side}_wrist")] for side in ("left", "right"))
    assert right[1] > left[1] + 0.3
    assert right[0] < 0 < left[0]


def test_wink_changes_sides(motion):
    motion.poses.face[:] = 0.0
    motion.poses.face[:, ARKIT_51.coefficients.index("eyeBlinkLeft")] = 0.8
    face = mirror(motion).poses.face
    assert face[0, ARKIT_51.coefficients.index("eyeBlinkRight")] == np.float32(0.8)
    assert face.sum() == pytest.approx(5 * 0.8)


def test_contacts_change_sides(motion):
    motion.poses.contacts[:] = [1.0, 0.0, 0.5, 0.25]
    np.testing.assert_array_equal(mirror(motion).poses.contacts[0], [0.0, 1.0, 0.25, 0.5])


def test_face_basis_without_sides_is_refused(motion):
    fmt = replace(motion.format, face=FLAME_100)
    poses = replace(motion.poses, face=np.zeros((5, 100), np.float32))
    with pytest.raises(ConfigError, match=r"flame100.*mirrored = false"):
        mirror(Motion(fmt, poses))
