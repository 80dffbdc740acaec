"""Body and head are consistent: by colour, in step, for any format."""

from dataclasses import replace

import numpy as np

from engine.motion import rotation
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import PoseFormat, PoseFrame
from exporters.viewer.avatar import Avatar

FORMAT = PoseFormat()
AVATAR = Avatar(FORMAT)


def frame(face_width: int = 51) -> PoseFrame:
    return PoseFrame(
        *(0, 0, rotation.identity(55), np.array([0.0, 1.28, 0.0], np.float32)),
        *(np.zeros(4, np.float32), np.zeros(face_width, np.float32)),
    )


def test_faces_use_every_vertex_of_their_colour() -> None:
    for colour, vertices in AVATAR.rest().items():
        assert vertices.dtype == np.float32
        assert vertices.flags.c_contiguous
        assert set(AVATAR.faces[colour].ravel()) == set(range(len(vertices)))


def test_the_avatar_is_as_tall_as_a_person_and_stands_on_the_floor() -> None:
    for pose in (AVATAR.vertices(frame()), AVATAR.rest()):
        check_stature(np.concatenate(list(pose.values())))


def check_stature(vertices: np.ndarray) -> None:
    assert -0.03 < vertices[:, 1].min() < 0.02
    assert 1.6 < vertices[:, 1].max() < 1.85


def test_the_head_follows_the_neck_with_all_its_parts() -> None:
    still = AVATAR.vertices(frame())
    turned = frame()
    turned.rotations[FORMAT.skeleton.index("head")] = rotation.exp(
        np.array([0.0, np.pi / 2, 0.0], np.float32)
    )
    after = AVATAR.vertices(turned)
    pivot = AVATAR.head_position
    for colour in ("lips", "iris", "hair", "mouth", "lid"):
        local = still[colour] - pivot
        expected = np.stack([local[:, 2], local[:, 1], -local[:, 0]], 1) + pivot
        np.testing.assert_allclose(after[colour], expected, atol=1e-5)
    np.testing.assert_array_equal(after["trousers"], still["trousers"])


def test_a_flame_stream_has_an_avatar_too() -> None:
    avatar = Avatar(replace(FORMAT, face=FLAME_100))
    assert avatar.vertices(frame(100)).keys() == AVATAR.rest().keys()


def test_there_is_not_too_much_to_send() -> None:
    count = sum(len(vertices) for vertices in AVATAR.rest().values())
    assert count < 13_000, "12 bytes each, 30 times a second"
