import numpy as np
import pytest

from engine.errors import ConfigError
from training.sources.smartbody import (
    SourceMotion,
    artist_name,
    read_clips,
    read_motion,
    read_skeleton,
)

SKELETON = """set_name Test
skeleton
root JtRoot
{ offset 0 1 0
  prerot axis 0 0 0 ang 0
  channel XPos 0 free
  channel Quat
  joint JtHipLf
  { offset 0.1 0 0
    prerot axis 0 0 1 ang 90
    channel Quat
    joint JtKneeLf
    { offset 0.5 0 0
      prerot axis 0 0 0 ang 0
    }
  }
  joint JtHipRt
  { offset -0.1 0 0
    prerot axis 0 0 0 ang 0
  }
}
"""
MOTION = """SkMotion
name "test"
channels 3
base XPos
base Quat
l_hip Quat
frames 3
kt 0.0 fr 0.0 0 0 0 0 0 0
kt 0.0416667 fr 0.1 0 0.1 0 0 0 1.570796
kt 0.0833333 fr 0.2 0 0.2 0 0 0 3.141593
ready time: 0.1
"""


@pytest.fixture
def skeleton(tmp_path):
    (tmp_path / "a.sk").write_text(SKELETON)
    return read_skeleton(tmp_path / "a.sk")


@pytest.fixture
def motion(tmp_path):
    (tmp_path / "a.skm").write_text(MOTION)
    return read_motion(tmp_path / "a.skm")


def test_a_skeleton_is_read_as_a_tree(skeleton):
    assert skeleton.names == ("JtRoot", "JtHipLf", "JtKneeLf", "JtHipRt")
    assert skeleton.parents == (-1, 0, 1, 0)


def test_the_rotation_before_the_channel_turns_the_bone(skeleton):
    positions, _ = skeleton.bind()
    np.testing.assert_allclose(positions[2], [0.1, 1.5, 0.0], atol=1e-9)


def test_channels_are_found_under_either_name(motion):
    assert set(motion.rotations) == {"JtRoot", "JtHipLf"}
    np.testing.assert_allclose(motion.positions["JtRoot"][:, 0], [0.0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("channel", "joint"),
    [
        ("l_index1", "JtIndexALf"),
        ("r_pinky3", "JtLittleCRt"),
        ("l_forearm", "JtForearmTwistBLf"),
        ("l_forearm1", "JtForearmTwistALf"),
        ("skullbase", "JtSkullA"),
        ("JtWristLf", "JtWristLf"),
    ],
)
def test_standard_names_become_the_artists(channel, joint):
    assert artist_name(channel) == joint


def test_the_channel_rotates_after_the_fixed_rotation(skeleton, motion):
    rotations = motion.channel_rotations(skeleton)
    root = motion.positions["JtRoot"] * 0
    positions, _ = skeleton.pose(rotations, root)
    # 90 degrees fixed and 90 by the channel: the shin points to -x. The root has turned by 0.1.
    expected = 0.1 - 0.5
    np.testing.assert_allclose(positions[1, 2, 0], expected * np.cos(0.1), atol=1e-6)


def test_24_frames_a_second_become_30(motion):
    resampled = motion.resampled(30)
    assert len(resampled.times) == 3
    np.testing.assert_allclose(
        resampled.positions["JtRoot"][:, 0], np.array([0, 1, 2]) / 30 * 2.4, atol=1e-6
    )


def test_a_turn_past_half_is_interpolated_the_short_way():
    vectors = np.array([[3.0, 0, 0], [-3.0, 0, 0]])
    motion = SourceMotion(np.array([0.0, 0.1]), {"a": vectors}, {})
    middle = motion.resampled(20).rotations["a"][1, 0]
    assert middle == pytest.approx(np.pi, abs=1e-6)


@pytest.mark.parametrize("read", [read_motion, read_skeleton])
def test_another_file_is_refused_with_its_name(tmp_path, read):
    (tmp_path / "x.txt").write_text("hello\n")
    with pytest.raises(ConfigError, match=r"x\.txt"):
        read(tmp_path / "x.txt")


def test_clips_have_names_of_their_own(tmp_path):
    head = "path actor idle family hand frames seconds fps ready strokeStart emphasis stroke relax"
    row = "a/B@Idle_Me.skm B Idle Me left 10 0.3 30 0.1    0.2 gesture train"
    text = "\t".join([*head.split(), "use", "split"]) + "\n" + "\t".join(row.split(" ")) + "\n"
    (tmp_path / "clips.tsv").write_text(text)
    (entry,) = read_clips(tmp_path / "clips.tsv")
    assert entry.name == "B_Idle_Me"
    assert entry.times == {"ready": 0.1, "relax": 0.2}
