"""Overlapping minimum-jerk movements: continuous velocity, exact end."""

import numpy as np
import pytest

from engine.motion.rotation import angle, exp, identity, log
from training.composer.minimum_jerk import FPS, Move, Track, bump, chain, drift, gaussian_smooth

NO_LAG = np.zeros(2)


def turned(x: float) -> np.ndarray:
    return exp(np.array([[x, 0, 0], [0, x, 0]], np.float32))


def course(moves: list[Move], lags: np.ndarray = NO_LAG) -> np.ndarray:
    made = chain(identity(2), moves, 90, lags)
    return np.asarray(angle(made, identity(90, 2)))


def test_a_move_begins_and_ends_at_rest_on_time() -> None:
    made = course([Move(0.5, 1.0, turned(0.8))])
    assert made[:15].max() < 1e-3
    assert made[31:] == pytest.approx(0.8, abs=1e-3)
    assert np.diff(made[:, 0]).argmax() == pytest.approx(22, abs=1)


def test_overlapping_moves_have_no_jolt_and_reach_the_last_goal() -> None:
    moves = [Move(0.5, 1.1, turned(0.6)), Move(0.9, 1.4, turned(-0.3))]
    made = log(chain(identity(2), moves, 90, NO_LAG))[:, 0, 0]
    assert made[45:] == pytest.approx(-0.3, abs=1e-3)
    assert 0.3 < made.max() < 0.6
    assert np.abs(np.diff(made, n=2)).max() < 0.04


def test_joints_may_be_late() -> None:
    made = course([Move(0.5, 1.0, turned(0.8))], np.array([0.0, 0.2]))
    half = [int(np.argmax(made[:, joint] > 0.4)) for joint in range(2)]
    assert half[1] - half[0] == round(0.2 * FPS)


def test_a_recorded_way_is_followed_from_wherever_one_is() -> None:
    way = np.stack([turned(x) for x in (0.2, 1.0, 0.5)])
    made = course([Move(0.5, 1.5, turned(0.4), way)])
    assert made[15].max() < 1e-3
    assert made[:, 0].max() > 0.7
    assert made[46:] == pytest.approx(0.4, abs=1e-3)
    paced = course([Move(0.5, 1.5, turned(0.4), way, paced=True)])
    assert paced[19, 0] > made[19, 0]


def test_tracks_add_their_goals() -> None:
    track = Track(60, np.zeros(2))
    track.move(0.2, 0.5, np.array([1.0, 2.0]))
    track.move(0.5, 0.8, np.array([0.0, 3.0]))
    assert track.values.shape == (60, 2)
    assert track.values[-1] == pytest.approx([0.0, 3.0])
    assert track.values[:6] == pytest.approx(0.0)


def test_bumps_rise_and_fall() -> None:
    made = bump(np.arange(60) / FPS, 1.0, 0.3, 0.6)
    assert made[30] == pytest.approx(1.0)
    assert made[:21] == pytest.approx(0.0)
    assert made[49:] == pytest.approx(0.0, abs=1e-6)


def test_drift_is_slow_and_bounded() -> None:
    made = drift(300, 2, 30, np.random.default_rng(0))
    assert made.shape == (300, 2)
    assert np.abs(made).max() <= 1.0
    assert np.abs(np.diff(made, axis=0)).max() < 0.15


def test_softening_takes_the_edge_off_and_keeps_what_rests() -> None:
    jump = np.concatenate([identity(20, 1), np.tile(turned(0.5)[:1], (20, 1, 1))])
    made = gaussian_smooth(jump)
    assert angle(made[1:], made[:-1]).max() < 0.2
    assert angle(made[[0, -1]], jump[[0, -1]]).max() < 1e-3
