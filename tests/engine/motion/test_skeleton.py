import numpy as np
import pytest

from engine.errors import ConfigError
from engine.motion.skeleton import CONTACT_JOINTS, PART_JOINTS, SMPLX_55, BodyPart, Skeleton


def test_smplx_has_its_55_joints_in_order() -> None:
    names = SMPLX_55.joint_names
    assert len(names) == 55
    assert (names[0], names[15], names[22], names[-1]) == ("pelvis", "head", "jaw", "right_thumb3")
    assert names[23:26] == ("left_eye", "right_eye", "left_index1")


def test_left_and_right_have_mirrored_parents() -> None:
    def parent(name: str) -> str:
        return SMPLX_55.joint_names[SMPLX_55.parents[SMPLX_55.index(name)]]

    for name in SMPLX_55.joint_names:
        if name.startswith("left_"):
            mirrored = name.replace("left_", "right_")
            assert parent(mirrored) == parent(name).replace("left_", "right_")


def test_the_rest_pose_is_upright_and_faces_z() -> None:
    offset = dict(zip(SMPLX_55.joint_names, SMPLX_55.offsets, strict=True))
    assert offset["spine1"][1] > 0 > offset["left_knee"][1]
    assert offset["left_shoulder"][0] > 0 > offset["right_shoulder"][0]
    assert offset["left_foot"][2] > 0
    assert 0.9 < SMPLX_55.rest_height < 0.97


def test_parts_are_disjoint_and_cover_all_joints_but_the_eyes() -> None:
    joints = [j for part in BodyPart for j in PART_JOINTS[part]]
    assert len(joints) == len(set(joints))
    left = set(range(55)) - set(joints)
    assert {SMPLX_55.joint_names[j] for j in left} == {"left_eye", "right_eye"}


def test_parts_contain_the_expected_joints() -> None:
    def names(part: BodyPart) -> set[str]:
        return {SMPLX_55.joint_names[j] for j in PART_JOINTS[part]}

    assert names(BodyPart.FACE) == {"jaw"}
    assert {"left_wrist", "head", "spine1"} <= names(BodyPart.UPPER)
    assert {"pelvis", "right_foot"} <= names(BodyPart.LOWER)
    assert all(name[-1] in "123" for name in names(BodyPart.HANDS))
    assert [SMPLX_55.joint_names[j] for j in CONTACT_JOINTS] == [
        *("left_ankle", "right_ankle", "left_foot", "right_foot")
    ]


def test_an_unknown_joint_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown joint 'Hips'; this skeleton has pelvis,"):
        SMPLX_55.index("Hips")


ZERO = (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("names", "parents", "offsets", "message"),
    [
        (("a", "b"), (-1,), (ZERO, ZERO), "as many parents and offsets as names"),
        ((), (), (), "as many parents and offsets as names"),
        (("a", "a"), (-1, 0), (ZERO, ZERO), "names must differ"),
        (("a", "b"), (0, -1), (ZERO, ZERO), "first joint is the root"),
        (("a", "b", "c"), (-1, 2, 0), (ZERO, ZERO, ZERO), "parents come first"),
        (("a", "b"), (-1, -1), (ZERO, ZERO), "first joint is the root"),
    ],
)
def test_an_invalid_skeleton_is_refused(names, parents, offsets, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=message):
        Skeleton(names, parents, offsets)


def test_offsets_are_metres_in_float32() -> None:
    assert SMPLX_55.offsets.dtype == np.float32
    assert SMPLX_55.offsets.shape == (55, 3)
