"""BVH and figures: known kinematics, units, rest frames, rates, round trips."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ClipError, ConfigError
from engine.motion import rotation as rot
from tests.support.foreign_skeletons import foreign_figure
from tests.support.motion_writers import bvh_lines, bvh_of, figure_of_motion
from tests.support.training_fixtures import waving
from training.sources.bvh import parse_bvh
from training.sources.bvh_figure import figure_of, unit_of

ARM = """HIERARCHY
ROOT Hips
{
  OFFSET 5 90 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Arm
  {
    OFFSET 0 50 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 30 0 0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.0333333
0 100 0  0 0 0  0 0 0
0 100 0  90 0 0  0 0 90
10 100 0  0 0 0  -90 0 0
"""


def arm(text: str = ARM):
    return parse_bvh(text.splitlines())


def test_an_arm_by_hand() -> None:
    figure, unit = figure_of(arm(), 30, "cm")
    assert unit.why == "cm, as configured"
    assert figure.names == ("Hips", "Arm", "Arm end")
    assert figure.parents == (-1, 0, 1)
    expected = [
        [[0, 1, 0], [0, 1.5, 0], [0.3, 1.5, 0]],
        # The root turns left by 90: the arm lies on -x; its own turn about y sends the hand to -z.
        [[0, 1, 0], [-0.5, 1, 0], [-0.5, 1, -0.3]],
        [[0.1, 1, 0], [0.1, 1.5, 0], [0.1, 1.2, 0]],
    ]
    np.testing.assert_allclose(figure.positions, expected, atol=1e-12)
    np.testing.assert_allclose(
        figure.rest_positions, [[0.05, 0.9, 0], [0.05, 1.4, 0], [0.35, 1.4, 0]]
    )
    assert rot.angle(figure.rest_rotations, rot.identity(3)).max() < 1e-9
    np.testing.assert_allclose(figure.rotations[:, 2], figure.rotations[:, 1])


def test_a_position_channel_on_any_joint_moves_it() -> None:
    text = ARM.replace("CHANNELS 3 Zrotation", "CHANNELS 4 Yposition Zrotation")
    text = text.replace("  0 0 0\n", "  70 0 0 0\n").replace("  0 0 90", "  70 0 0 90")
    figure, _ = figure_of(arm(text.replace("  -90 0 0", "  70 -90 0 0")), 30, "cm")
    np.testing.assert_allclose(figure.positions[0, 1], [0, 1.7, 0])
    np.testing.assert_allclose(figure.positions[2, 2], [0.1, 1.4, 0], atol=1e-12)


def test_frames_in_between_are_half_way() -> None:
    figure, _ = figure_of(arm(), 60, "cm")
    assert len(figure) == 5
    half = rot.exp(np.array([0, 0, np.pi / 4]))
    assert rot.angle(figure.rotations[1, 0], half) < 1e-9
    # Places follow from the turned joints: they are not the mean of the neighbours' places.
    np.testing.assert_allclose(
        figure.positions[1, 1], [-0.5 * 0.5**0.5, 1 + 0.5 * 0.5**0.5, 0], atol=1e-9
    )
    slow, _ = figure_of(arm(), 15, "cm")
    np.testing.assert_allclose(slow.positions, figure.positions[::4])


def test_a_frame_can_be_the_rest_pose() -> None:
    figure, _ = figure_of(arm(), 15, "cm", rest_frame=1)
    np.testing.assert_allclose(figure.rest_positions[1], [-0.5, 1, 0], atol=1e-12)
    assert rot.angle(figure.rest_rotations[0], rot.exp(np.array([0, 0, np.pi / 2]))) < 1e-9
    with pytest.raises(ClipError, match="rest frame of 0 to 2, got 3"):
        figure_of(arm(), 30, "cm", rest_frame=3)


@pytest.mark.parametrize(
    ("factor", "unit"), [(1.0, "m"), (100.0, "cm"), (1000.0, "mm"), (39.37, "in")]
)
def test_the_unit_is_guessed_from_the_height(factor: float, unit: str) -> None:
    tree = bvh_of(figure_of_motion(waving(1, 2)), unit="m").tree
    found = unit_of(replace(tree, offsets=tree.offsets * factor))
    assert found.metres == pytest.approx(1 / factor, rel=1e-3)
    assert found.why.startswith(f"{unit}, guessed: ")


def test_a_height_of_no_known_unit_is_that_of_a_person() -> None:
    tree = bvh_of(figure_of_motion(waving(1, 2)), unit="m").tree
    found = unit_of(replace(tree, offsets=tree.offsets * 15))
    assert "taken for 1.65 m" in found.why
    with pytest.raises(ConfigError, match=r"unknown unit 'ell'.*cm, mm, in"):
        unit_of(tree, "ell")
    with pytest.raises(ClipError, match="all offsets are zero"):
        unit_of(replace(tree, offsets=tree.offsets * 0))


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "YXZ"])
def test_a_figure_comes_back_from_its_file(order: str) -> None:
    figure = foreign_figure(waving(4), "beat")
    # Rest rotations other than none, as SmartBody has them: the file's rest axes are the world's.
    tilt = rot.exp(np.random.default_rng(0).standard_normal((len(figure.names), 3)))
    figure = replace(
        figure,
        rest_rotations=rot.multiply(figure.rest_rotations, tilt),
        rotations=rot.multiply(figure.rotations, np.broadcast_to(tilt, figure.rotations.shape)),
    )
    back, unit = figure_of(parse_bvh(bvh_lines(bvh_of(figure, order))), 30)
    assert unit.why.startswith("cm")
    at = [back.names.index(name) for name in figure.names]
    np.testing.assert_allclose(back.positions[:, at], figure.positions, atol=1e-6)
    relative = rot.multiply(
        figure.rotations,
        rot.inverse(np.broadcast_to(figure.rest_rotations, figure.rotations.shape)),
    )
    assert rot.angle(back.rotations[:, at], relative).max() < 1e-6
