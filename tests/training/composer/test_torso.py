"""Trunk and head: level head, nods on stresses, shakes, breathing."""

import numpy as np
import pytest

from engine.motion.rotation import exp, forward_kinematics, identity, log
from engine.motion.skeleton import SMPLX_55
from tests.support.figures import hanging
from training.composer.gaze import Gaze
from training.composer.minimum_jerk import FPS
from training.composer.plan import Stress
from training.composer.style import LIVELY
from training.composer.torso import HeadSign, TorsoCues, animate_torso

FRAMES = 6 * FPS
STILL = Gaze(np.zeros((FRAMES, 2)), np.zeros((FRAMES, 2)))


def head(
    stresses: tuple[Stress, ...] = (),
    signs: tuple[HeadSign, ...] = (),
    gaze: Gaze = STILL,
    roll: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """World rotation vectors `[T, 3]` of the head."""
    rotations = hanging(FRAMES)
    rotations[:, 0] = exp(np.array([0, 0, roll], np.float32))
    cues = TorsoCues(np.zeros(FRAMES), stresses, signs, gaze)
    animate_torso(rotations, cues, LIVELY, np.random.default_rng(seed))
    travel = np.zeros((FRAMES, 3), np.float32)
    world = forward_kinematics(SMPLX_55.parents, SMPLX_55.offsets, rotations, travel)[1]
    return log(world[:, 15].astype(float))


def test_heads_nod_on_stresses() -> None:
    lower = []
    for seed in range(12):
        nodding = head((Stress(3.0, 1.0, "x"),), seed=seed)[:, 0]
        lower.append(nodding[int(3.13 * FPS)] - nodding[int(2.6 * FPS)])
    assert np.mean(lower) > 0.05


def test_heads_shake_and_turn_where_they_look() -> None:
    shaken = head(signs=(HeadSign(2.0, "shake"),))[int(2 * FPS) : int(3.5 * FPS), 1]
    assert np.ptp(shaken) > 0.1
    aside = Gaze(np.tile([0.4, 0.0], (FRAMES, 1)), np.zeros((FRAMES, 2)))
    assert (head(gaze=aside) - head())[:, 1].mean() == pytest.approx(0.4, abs=0.05)


def test_tilted_hips_do_not_tilt_the_head_as_much() -> None:
    level, tilted = head(), head(roll=0.3)
    assert 0.0 <= (tilted - level)[:, 2].mean() < 0.15


def test_someone_who_rests_still_breathes() -> None:
    rotations = hanging(FRAMES)
    animate_torso(
        rotations, TorsoCues(np.zeros(FRAMES), (), (), STILL), LIVELY, np.random.default_rng(0)
    )
    pitch = log(rotations[:, 9].astype(float))[:, 0]
    assert 0.002 < pitch.std() < 0.05
    assert np.array_equal(rotations[:, 16], hanging(FRAMES)[:, 16])
    assert np.abs(rotations[:, 12] - identity()).max() > 1e-3
