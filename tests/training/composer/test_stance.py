"""Lower bodies: feet on the floor that do not slide, hips between them, bounded steps."""

import numpy as np
import pytest

from engine.motion.rotation import forward_kinematics
from engine.motion.skeleton import SMPLX_55
from training.composer.minimum_jerk import FPS
from training.composer.stance import LOWER_JOINTS, Lower, contacts_of, lower_body
from training.composer.style import CALM, LIVELY


def positions(lower: Lower) -> np.ndarray:
    return forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, lower.rotations, lower.translation
    )[0]


@pytest.fixture(scope="module")
def lively() -> Lower:
    return lower_body(np.ones(60 * FPS), LIVELY, np.random.default_rng(2))


def test_feet_stand_on_the_floor_and_do_not_slide(lively: Lower) -> None:
    points = positions(lively)
    balls = points[:, [10, 11]]
    assert balls[..., 1].min() == pytest.approx(0.015, abs=2e-3)
    contacts = contacts_of(points)
    speed = np.linalg.norm(np.diff(balls[..., [0, 2]], axis=0), axis=-1) * FPS
    assert speed[contacts[:-1, 2:] > 0.5].mean() < 0.02
    assert (contacts.max(1) == 1).mean() > 0.99  # one foot at least


def test_a_lively_speaker_steps_and_comes_home(lively: Lower) -> None:
    points = positions(lively)
    speed = np.linalg.norm(np.diff(points[:, 10][:, [0, 2]], axis=0), axis=-1) * FPS
    assert (np.diff((speed > 0.3).astype(int)) == 1).sum() >= 4
    assert np.abs(points[:, 0, [0, 2]]).max() < 1.6
    legs = points[:, [1, 2]] - points[:, [7, 8]]
    assert np.linalg.norm(legs, axis=-1).max() < 0.80
    assert np.diff(points[:, 0], axis=0).max() * FPS < 1.0


def test_in_silence_hips_hardly_move(lively: Lower) -> None:
    quiet = lower_body(np.zeros(60 * FPS), CALM, np.random.default_rng(2))
    ways = [np.abs(np.diff(positions(x)[:, 0], axis=0)).mean() for x in (quiet, lively)]
    assert ways[0] < 0.3 * ways[1]


def test_only_the_lower_joints_turn_and_the_seed_decides(lively: Lower) -> None:
    others = [j for j in range(55) if j not in LOWER_JOINTS]
    assert (lively.rotations[:, others, 0] == 1).all()
    again = lower_body(np.ones(60 * FPS), LIVELY, np.random.default_rng(2))
    assert np.array_equal(again.rotations, lively.rotations)
    other = lower_body(np.ones(60 * FPS), LIVELY, np.random.default_rng(3))
    assert not np.array_equal(other.translation, lively.translation)
