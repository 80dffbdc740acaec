"""Edits of single arm poses."""

import numpy as np
import pytest

from engine.motion.rotation import angle, forward_kinematics
from engine.motion.skeleton import SMPLX_55
from tests.support.figures import hanging, rising
from training.composer import arm_poses as poses
from training.composer.arm_poses import ARM, SIDES

REST, UP = hanging(1)[0], rising()[-1]


def joints(pose: np.ndarray) -> np.ndarray:
    return forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, pose[None], np.zeros((1, 3), np.float32)
    )[0][0]


def test_amplitude_scales_the_way_of_the_elbow() -> None:
    bent = float(angle(UP[18], REST[18]).squeeze())
    wider = poses.amplify(UP, REST, 1.2, "left")
    assert float(angle(wider[18], REST[18]).squeeze()) == pytest.approx(1.2 * 1.05 * bent, rel=0.01)
    assert np.array_equal(wider[19], UP[19])


@pytest.mark.parametrize("side", SIDES)
def test_arms_move_the_way_their_names_say(side: str) -> None:
    elbow, wrist = ARM[side][2], ARM[side][3]
    before = joints(UP)
    for change, joint, axis, sign in (
        (lambda p: poses.raise_elbow(p, side, 0.3, 0.0), elbow, 2, 1.0),
        (lambda p: poses.raise_elbow(p, side, 0.0, 0.3), elbow, 0, 1.0 if side == "left" else -1.0),
    ):
        pose = UP.copy()
        change(pose)
        assert sign * (joints(pose)[joint] - before[joint])[axis] > 0.03
    pose = UP.copy()
    poses.bend(pose, side, 0.4)
    shoulder = ARM[side][1]
    away = [np.linalg.norm(p[wrist] - p[shoulder]) for p in (joints(pose), before)]
    assert away[0] < away[1] - 0.02


@pytest.mark.parametrize(("side", "tip", "knuckle"), [("left", 27, 25), ("right", 42, 40)])
def test_curling_bends_fingers_towards_the_palm(side: str, tip: int, knuckle: int) -> None:
    flat = np.tile(np.array([1, 0, 0, 0], np.float32), (55, 1))
    pose = flat.copy()
    poses.curl(pose, side, np.full(5, 0.5))
    assert joints(pose)[tip, 1] < joints(flat)[tip, 1] - 0.01
    pose = flat.copy()
    poses.flap(pose, side, 0.5)
    assert joints(pose)[knuckle, 1] > joints(flat)[knuckle, 1] + 0.02


def test_towards_with_arm_and_mirror() -> None:
    half = poses.towards(UP, REST, 0.5, "left")
    assert angle(half[18], UP[18]) == pytest.approx(angle(half[18], REST[18]), abs=1e-3)
    mixed = poses.with_arm(UP, REST, "right")
    assert np.array_equal(mixed[19], REST[19])
    assert np.array_equal(mixed[18], UP[18])
    twice = poses.mirror_image(poses.mirror_image(half))
    assert twice == pytest.approx(half)


def test_nobody_makes_the_same_movement_twice() -> None:
    rng = np.random.default_rng(0)
    made = [UP.copy() for _ in range(20)]
    for pose in made:
        poses.randomize(pose, "left", 1.0, rng)
    wrists = np.stack([joints(pose)[20] for pose in made])
    assert 0.02 < wrists.std(0).max() < 0.15
    assert np.array_equal(made[0][19], UP[19])
