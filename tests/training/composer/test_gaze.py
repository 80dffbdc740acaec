"""Gaze: fast eyes, slower head, both return to the listener."""

import numpy as np
import pytest

from training.composer.gaze import Gaze, animate_gaze
from training.composer.minimum_jerk import FPS
from training.composer.style import LIVELY

PHRASES = [(2.0, 6.0), (8.0, 20.0)]


@pytest.fixture(scope="module")
def gaze() -> Gaze:
    return animate_gaze(60 * FPS, PHRASES, [4.0], LIVELY, np.random.default_rng(0))


def test_gaze_stays_near_the_listener(gaze: Gaze) -> None:
    assert gaze.head.shape == gaze.eyes.shape == (60 * FPS, 2)
    both = gaze.head + gaze.eyes
    assert np.abs(np.median(both, axis=0)).max() < 0.12
    assert 0.05 < both[:, 0].std() < 0.35
    assert np.abs(gaze.eyes).max() <= 0.6


def test_eyes_are_quicker_than_the_head(gaze: Gaze) -> None:
    fastest = [np.abs(np.diff(x[:, 0])).max() * FPS for x in (gaze.eyes, gaze.head)]
    assert fastest[0] > 2 * fastest[1]


def test_a_memory_turns_the_eyes_up() -> None:
    ways = []
    for thoughts in ([], [2.0]):
        looks = [
            animate_gaze(5 * FPS, [], thoughts, LIVELY, np.random.default_rng(s)) for s in range(30)
        ]
        ways.append(np.mean([(x.head + x.eyes)[int(2.4 * FPS), 1] for x in looks]))
    assert ways[1] < ways[0] - 0.03
