"""Lids close and never cross; eyes turn to the given direction."""

import numpy as np
import pytest

from engine.motion import rotation
from exporters.viewer import eyes
from exporters.viewer.eyes import EyeWeights


def opening(**weights: float) -> float:
    upper, lower = eyes.lid_angles(EyeWeights(**weights))
    return upper - lower


def test_a_blink_closes_the_lids() -> None:
    assert opening() > 0.9
    assert opening(blink=1.0) == pytest.approx(0.0, abs=1e-6)
    assert opening(blink=1.5) == pytest.approx(0.0, abs=1e-6)
    widths = [opening(blink=b) for b in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert widths == sorted(widths, reverse=True)


def test_wide_opens_and_squint_narrows() -> None:
    assert opening(wide=1.0) > opening() + 0.2
    assert opening(squint=1.0) < opening() - 0.3


def test_lids_never_cross() -> None:
    random = np.random.default_rng(0)
    for weights in random.random((200, 7)) * 1.2:
        upper, lower = eyes.lid_angles(EyeWeights(*weights))
        assert upper >= lower


@pytest.mark.parametrize(
    ("weights", "side", "axis", "sign"),
    [
        ({"up": 1.0}, 1.0, 1, 1),
        ({"down": 1.0}, 1.0, 1, -1),
        ({"outwards": 1.0}, 1.0, 0, 1),
        ({"inwards": 1.0}, 1.0, 0, -1),
        ({"outwards": 1.0}, -1.0, 0, -1),
    ],
)
def test_gaze(weights: dict[str, float], side: float, axis: int, sign: int) -> None:
    turn = eyes.gaze(EyeWeights(**weights), side)
    forward = rotation.rotate(turn, np.array([0.0, 0.0, 1.0], np.float32))
    assert sign * forward[axis] > 0.3
    assert forward[2] > 0.7


def test_the_lid_edge_follows_its_angle() -> None:
    edge = rotation.rotate(eyes.about_x(0.5), np.array([0.0, 0.0, 1.0], np.float32))
    np.testing.assert_allclose(edge, [0.0, np.sin(0.5), np.cos(0.5)], atol=1e-6)


def test_lids_lie_just_outside_the_eyeball_and_discs_on_it() -> None:
    ball = np.linalg.norm(eyes.eyeball().vertices, axis=1)
    np.testing.assert_allclose(ball, eyes.EYE_RADIUS, rtol=1e-5)
    for lid in (eyes.upper_lid(), eyes.lower_lid()):
        radius = np.linalg.norm(lid.vertices, axis=1)
        assert (radius > 1.02 * eyes.EYE_RADIUS).all()
        assert (radius < 1.10 * eyes.EYE_RADIUS).all()
    assert eyes.upper_lid().vertices[:, 1].min() > -1e-6
    assert eyes.lower_lid().vertices[:, 1].max() < 1e-6
