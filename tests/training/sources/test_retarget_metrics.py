"""Metrics of retargeted motion: known values on the T-pose, and defects."""

from dataclasses import replace

import numpy as np
import pytest

from engine.motion import rotation as rot
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.skeleton import SMPLX_55
from tests.support.motion_writers import figure_of_motion
from training.sources.retarget_metrics import compare, find_defects, measure
from training.sources.skeleton_map import load_map

SMPLX = load_map("smplx")


def posed(frames: int = 1, height: float = 1.28, **turns: tuple[float, float, float]) -> Motion:
    """The T-pose but for rotation vectors in degrees."""
    rotations = rot.identity(frames, 55)
    for name, turn in turns.items():
        rotations[:, SMPLX_55.index(name)] = rot.exp(np.radians(np.array([turn], np.float32)))
    rows = [np.zeros((frames, n), np.float32) for n in (3, 4, 51)]
    rows[0][:, 1] = height
    return Motion(PoseFormat(), PoseChunk(0, rotations, *rows))


def test_a_figure_at_rest() -> None:
    found = measure(posed())
    for side in ("left", "right"):
        # Palms down, hands far from everything.
        assert found.palm[side][1] < -0.97
        assert found.hand_to_body_m[side] > 0.3
        assert found.inside_share[side] == 0.0
    lowest = min(SMPLX_55.rest_offsets[0][1] + _drop(side) for side in ("left", "right"))
    assert found.lowest_foot_m == pytest.approx((lowest + 1.28,) * 3, abs=1e-5)
    assert not any(found.bent_back_deg.values())


def _drop(side: str) -> float:
    chain = [f"{side}_{joint}" for joint in ("hip", "knee", "ankle", "foot")]
    return sum(SMPLX_55.rest_offsets[SMPLX_55.index(joint)][1] for joint in chain)


def test_palms_are_in_the_pelvis_axes() -> None:
    """Right palm turned up by half a turn of the forearm; the figure itself looks to the side."""
    up = measure(posed(right_wrist=(180.0, 0, 0), pelvis=(0, 70.0, 0))).palm["right"]
    assert up[1] > 0.95
    forward = measure(posed(left_wrist=(-90.0, 0, 0), pelvis=(0, -40.0, 0))).palm["left"]
    assert forward[2] > 0.9
    inward = measure(posed(left_shoulder=(0, 0, -80.0), left_wrist=(0, 0, 0))).palm["left"]
    assert inward[0] > 0.7  # the hanging left hand looks to the right


def test_a_hand_in_the_chest_is_inside() -> None:
    """The arm folded flat across the body, through it."""
    through = posed(2, left_shoulder=(0, 0, -60.0), left_elbow=(0, 0, -135.0))
    through.poses.rotations[1] = posed().poses.rotations[0]
    found = measure(through)
    assert found.hand_to_body_m["left"] < -0.02
    assert found.inside_share == {"left": 0.5, "right": 0.0}


def test_a_hand_that_touches_the_head_is_not_far() -> None:
    raised = measure(posed(right_shoulder=(0, 0, -50.0), right_elbow=(0, 0, -125.0)))
    assert raised.hand_to_body_m["right"] < 0.1


@pytest.mark.parametrize(
    ("joint", "wrong", "right"),
    [
        ("left_elbow", (0, 60.0, 0), (0, -60.0, 0)),
        ("right_elbow", (0, -60.0, 0), (0, 60.0, 0)),
        ("left_knee", (-60.0, 0, 0), (60.0, 0, 0)),
        ("right_knee", (-60.0, 0, 0), (60.0, 0, 0)),
    ],
)
def test_hinges_bent_the_wrong_way_are_found(joint, wrong, right) -> None:
    found = measure(posed(**{joint: wrong}))
    assert found.bent_back_deg[joint] == pytest.approx(60.0, abs=15.0)
    assert found.bent_back_share[joint] == 1.0
    assert sum(value > 0 for value in found.bent_back_deg.values()) == 1
    assert not any(measure(posed(**{joint: right})).bent_back_deg.values())


def test_feet_under_the_floor_are_seen() -> None:
    sinking = posed(3)
    sinking.poses.translation[1, 1] -= 0.2
    least, median, most = measure(sinking).lowest_foot_m
    assert least == pytest.approx(median - 0.2, abs=1e-5)
    assert most == pytest.approx(median)


def test_a_motion_does_not_differ_from_itself() -> None:
    motion = posed(2, left_elbow=(0, -70.0, 0), right_index2=(0, 0, 40.0))
    found = compare(figure_of_motion(motion), SMPLX, motion)
    assert max(most for _, most in found.bone_deg.values()) < 0.01
    assert len(found.bone_deg) == 2 * (4 + 1 + 10)
    assert max(most for _, most in found.palm_deg.values()) < 0.01
    assert max(most for _, most in found.hand_of_arm.values()) < 1e-5


def test_what_differs_is_named() -> None:
    truth = posed(2)
    other = posed(2)
    bent = posed(left_elbow=(0, -30.0, 0), right_wrist=(25.0, 0, 0))
    other.poses.rotations[1] = bent.poses.rotations[0]
    found = compare(figure_of_motion(truth), SMPLX, other)
    # The forearm rises a little out of the plane it is turned in.
    assert found.bone_deg["left_elbow"] == pytest.approx((15.0, 30.0), abs=0.3)
    assert found.bone_deg["left_shoulder"] == pytest.approx((0.0, 0.0), abs=1e-3)
    assert found.palm_deg["right"] == pytest.approx((12.5, 25.0), abs=0.5)
    forearm = np.linalg.norm(SMPLX_55.offsets[SMPLX_55.index("left_wrist")])
    arm = forearm + np.linalg.norm(SMPLX_55.offsets[SMPLX_55.index("left_elbow")])
    moved = 2 * np.sin(np.radians(15)) * forearm / arm
    assert found.hand_of_arm["left"][1] == pytest.approx(moved, rel=0.02)


def test_size_and_units_do_not_matter() -> None:
    motion = posed(2, left_shoulder=(0, 0, -40.0))
    figure = figure_of_motion(motion)
    giant = replace(
        figure, rest_positions=figure.rest_positions * 170, positions=figure.positions * 170
    )
    found = compare(giant, SMPLX, motion)
    assert max(most for _, most in found.hand_of_arm.values()) < 1e-5


def test_reports_are_lines_of_text() -> None:
    motion = posed(2)
    lines = measure(motion).lines()
    assert lines[1] == "inside_share: left 0, right 0"
    assert any(line.startswith("palm: left (") for line in lines)
    assert compare(figure_of_motion(motion), SMPLX, motion).lines()[1].startswith("palm_deg: left")


def test_defects_are_described() -> None:
    assert find_defects(measure(posed(5, left_elbow=(0, -60.0, 0)))) == []
    wrong = posed(
        4, left_elbow=(0, 60.0, 0), right_shoulder=(0, 0, 60.0), right_elbow=(0, 0, 135.0)
    )
    wrong.poses.translation[2, 1] -= 0.5
    told = find_defects(measure(wrong))
    assert told[0].startswith("left elbow bends the wrong way in 100% of the frames, by up to ")
    assert told[1] == "the right hand is inside of the body in 100% of the frames"
    assert told[2].startswith("a foot sinks to -0.")
