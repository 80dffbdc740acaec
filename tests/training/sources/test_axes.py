"""Axis conversion of figures, and rejected rest poses."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ClipError
from engine.motion import rotation as rot
from tests.support.motion_writers import figure_of_motion
from tests.support.training_fixtures import waving
from training.sources.axes import to_project_axes
from training.sources.skeleton_map import load_map

SMPLX = load_map("smplx")
NONE = rot.identity().astype(float)


def about(axis: str, degrees: float):
    return rot.exp(np.radians(degrees) * np.eye(3)["xyz".index(axis)])


def test_what_lies_in_our_axes_is_left_alone() -> None:
    figure = figure_of_motion(waving(1))
    same, axes = to_project_axes(figure, SMPLX)
    assert same is figure
    assert not axes.turned
    assert str(axes) == "rest pose turned by 0 degrees, motion by 0"


@pytest.mark.parametrize("degrees", [90, -90])
def test_another_up_is_turned_to_ours(degrees: float) -> None:
    figure = figure_of_motion(waving(1))
    turn = about("x", degrees)
    back, axes = to_project_axes(figure.turned(turn, turn), SMPLX)
    assert "turned by 90 degrees, motion by 90" in str(axes)
    np.testing.assert_allclose(back.positions, figure.positions, atol=1e-9)
    np.testing.assert_allclose(back.rest_positions, figure.rest_positions, atol=1e-9)


def test_rest_and_motion_may_lie_in_different_axes() -> None:
    figure = figure_of_motion(waving(2))
    back, _ = to_project_axes(figure.turned(about("z", 90), NONE), SMPLX)
    np.testing.assert_allclose(back.rest_positions, figure.rest_positions, atol=1e-9)
    np.testing.assert_array_equal(back.positions, figure.positions)


def test_a_figure_that_looks_away_is_turned_to_face_forward() -> None:
    figure = figure_of_motion(waving(2))
    away = figure.turned(NONE, about("y", 140))
    back, axes = to_project_axes(away, replace(SMPLX, face_forward=True))
    forward, _ = to_project_axes(figure, replace(SMPLX, face_forward=True))
    np.testing.assert_allclose(back.positions, forward.positions, atol=1e-9)
    assert axes.turned


def test_a_rest_frame_may_look_anywhere() -> None:
    figure = figure_of_motion(waving(2))
    away = figure.turned(about("y", -75), about("y", -75))
    back, _ = to_project_axes(away, replace(SMPLX, rest_frame=0, face_forward=True))
    left = (
        back.rest_positions[back.index("left_shoulder")]
        - back.rest_positions[back.index("right_shoulder")]
    )
    assert left[0] > 0.3
    assert abs(left[2]) < 0.05


def _leaning(joint: str, turn):
    """The rest pose with everything below `joint` turned."""
    figure = figure_of_motion(waving(1, 3))
    j = figure.index(joint)
    below = {j}
    for child, parent in enumerate(figure.parents):
        if parent in below:
            below.add(child)
    rest = figure.rest_positions.copy()
    at = sorted(below)
    rest[at] = rest[j] + rot.rotate(np.broadcast_to(turn, (len(at), 4)), rest[at] - rest[j])
    return replace(figure, rest_positions=rest)


@pytest.mark.parametrize(
    ("joint", "turn", "says"),
    [
        ("left_hip", about("z", 90), "left_hip points .* degrees away"),
        ("right_knee", about("x", 80), "right_knee points .* degrees away"),
        ("left_shoulder", about("y", 150), "left_shoulder points .* degrees away"),
        ("pelvis", about("z", 45), "stands upright along an axis.*rest_frame"),
    ],
)
def test_rest_poses_in_which_nobody_stands_are_refused(joint, turn, says) -> None:
    with pytest.raises(ClipError, match=says):
        to_project_axes(_leaning(joint, turn), SMPLX)


def test_arms_may_hang_in_the_rest_pose() -> None:
    to_project_axes(_leaning("left_shoulder", about("z", -80)), SMPLX)
