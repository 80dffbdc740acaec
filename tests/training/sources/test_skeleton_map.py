"""Skeleton maps: those of the project, and errors of others."""

from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.motion.skeleton import SMPLX_55
from training.sources.skeleton_map import REQUIRED, Feet, find_map, load_map, map_names

BODY = [name for name in SMPLX_55.joint_names if name not in ("jaw", "left_eye", "right_eye")]


@pytest.mark.parametrize("name", map_names())
def test_every_map_knows_the_whole_body_and_all_fingers(name: str) -> None:
    found = load_map(name)
    assert set(BODY) <= set(found.joints)
    assert found.name == name
    assert not any("{" in joint for joint in found.named())
    assert not found.missing(found.named())
    left = {joint: f.follow for joint, f in found.joints.items() if joint.startswith("left_")}
    assert not set(left.values()) & {
        f.follow for joint, f in found.joints.items() if joint.startswith("right_")
    }


def test_a_map_that_is_for_no_files_is_not_found() -> None:
    assert find_map(load_map("playnet").named()).name != "playnet"


@pytest.mark.parametrize("name", [name for name in map_names() if name != "playnet"])
def test_a_figure_finds_its_map(name: str) -> None:
    assert find_map({*load_map(name).named(), "Something else"}).name == name


def test_sides_and_tables_are_filled_in() -> None:
    trinity = load_map("trinity")
    ankle = trinity.joints["right_ankle"]
    assert (ankle.follow, ankle.place) == ("RightForeFoot", "RightFoot")
    assert trinity.joints["left_wrist"].place == "LeftHand"
    assert (trinity.joints["neck"].towards, trinity.joints["neck"].share) == ("Neck1", 0.5)
    assert trinity.feet is Feet.LEVEL
    assert load_map("beat").tips["right_pinky"] == "RightHandPinky4"


def test_fingers_may_be_missing_but_not_an_elbow() -> None:
    trinity = load_map("trinity")
    names = {name for name in trinity.named() if "Hand" not in name} | {"LeftHand", "RightHand"}
    within = trinity.within(names)
    assert "left_wrist" in within.joints
    assert not any(joint[-1] in "123" and "spine" not in joint for joint in within.joints)
    assert within.title == trinity.title
    with pytest.raises(ConfigError, match="expected the joint 'LeftForeArm' for left_elbow"):
        trinity.within(names - {"LeftForeArm"})


def test_an_unknown_figure_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"none of the skeletons .* Bone1, Bone2"):
        find_map(["Bone1", "Bone2"])


SMALL = '[sides]\nleft = "L"\nright = "R"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"\[sides\]"),
        (SMALL + '[joints]\nbelly = "A"', "unknown joint of SMPL-X 'belly'"),
        (SMALL + '[limbs]\nwing = "A"', "unknown joint of SMPL-X 'left_wing'"),
        (SMALL + '[tips]\ntoe = "A"', "unknown joint of SMPL-X 'toe'"),
        (SMALL + '[joints]\nneck = { at = "A" }', "neck: .*follow"),
        (SMALL + '[joints]\nneck = { follow = "A", share = 0.5 }', "neck: .*towards"),
        (SMALL + '[joints]\nneck = { follow = "A", towards = "B", share = 2 }', "neck: .*share"),
        ('feet = "bare"\n' + SMALL, "bare"),
        ('shoes = "no"\n' + SMALL, "shoes"),
        ("joints", "no skeleton"),
    ],
)
def test_mistakes_in_a_map_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_map(tmp_path / "mine.toml")


def test_a_map_of_ones_own_must_have_the_limbs(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SMALL + '[joints]\npelvis = "Hips"')
    with pytest.raises(ConfigError, match="skeleton mine: expected an entry for head"):
        load_map(str(tmp_path / "mine.toml")).within(["Hips"])
    assert REQUIRED[0] == "pelvis"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no skeleton 'kinect'.*beat.*trinity.*zeroeggs"):
        load_map("kinect")
