"""Each shape moves the named part of the face, and nothing elsewhere."""

import numpy as np
import pytest

from engine.motion.face_basis import ARKIT_51, ARKIT_52_NAMES
from exporters.viewer import head
from exporters.viewer.expressions import field_of, shape_matrix, surface_of

GRID = head.build_grid()
SURFACE = surface_of(GRID)
REST = GRID.vertices


def moved(name: str) -> np.ndarray:
    return shape_matrix(SURFACE, [name])[0].reshape(-1, 3)


def at(x: float, y: float) -> int:
    """The vertex of the skin nearest to a position on the face."""
    distance = np.hypot(REST[:, 0] - x, REST[:, 1] - y) + 10.0 * (REST[:, 2] < 0.02)
    distance[: GRID.skin.start] = 10.0
    return int(distance.argmin())


def lip(place: str) -> int:
    """A vertex in the middle of the inner edge of a lip, or at a corner."""
    column = {"left corner": 0, "upper": 16, "right corner": 32, "lower": 48}[place]
    return GRID.mouth.start + column


CHIN, FOREHEAD, CHEEK = at(0.0, -0.062), at(0.0, 0.095), at(0.047, -0.020)


def test_an_opening_jaw_takes_the_chin_down_and_leaves_the_forehead() -> None:
    move = moved("jawOpen")
    assert move[CHIN, 1] < -0.010
    assert move[lip("lower"), 1] < -0.015
    assert np.abs(move[FOREHEAD]).max() < 1e-6
    assert np.abs(move[lip("upper")]).max() < 0.001
    behind = REST[:, 2] < -0.03
    assert np.abs(move[behind]).max() < 0.002


def test_mouth_close_shuts_the_lips_of_an_open_jaw() -> None:
    opened = moved("jawOpen")
    closed = opened + moved("mouthClose")
    gap = opened[lip("upper"), 1] - opened[lip("lower"), 1]
    left = closed[lip("upper"), 1] - closed[lip("lower"), 1]
    assert gap > 0.015
    assert abs(left) < 0.15 * gap
    assert closed[CHIN, 1] < -0.008, "the jaw stays open"


def test_a_smile_lifts_and_widens_its_own_corner() -> None:
    move = moved("mouthSmileLeft")
    assert move[lip("left corner"), 0] > 0.005
    assert move[lip("left corner"), 1] > 0.005
    assert np.abs(move[lip("right corner")]).max() < 0.001


def test_a_frown_lowers_its_corner() -> None:
    assert moved("mouthFrownRight")[lip("right corner"), 1] < -0.005


def test_puckered_lips_are_narrow_and_forward() -> None:
    move = moved("mouthPucker")
    assert move[lip("left corner"), 0] < -0.008
    assert move[lip("right corner"), 0] > 0.008
    assert move[lip("upper"), 2] > 0.006


@pytest.mark.parametrize(
    ("name", "where", "axis", "sign"),
    [
        ("mouthUpperUpLeft", REST[lip("upper") - 3], 1, 1),
        ("mouthLowerDownLeft", REST[lip("lower") + 3], 1, -1),
        ("mouthFunnel", REST[lip("lower")], 1, -1),
        ("mouthStretchLeft", REST[lip("left corner")], 0, 1),
        ("mouthRollLower", REST[lip("lower")], 2, -1),
        ("mouthPressLeft", REST[lip("lower") + 3], 1, 1),
        ("browInnerUp", np.array([0.014, 0.071, 0.09]), 1, 1),
        ("browOuterUpLeft", np.array([0.044, 0.071, 0.07]), 1, 1),
        ("browDownLeft", np.array([0.016, 0.071, 0.09]), 1, -1),
        ("cheekPuff", REST[CHEEK], 0, 1),
        ("jawLeft", REST[CHIN], 0, 1),
        ("jawRight", REST[CHIN], 0, -1),
        ("jawForward", REST[CHIN], 2, 1),
    ],
)
def test_shapes_move_their_place_the_right_way(
    name: str, where: np.ndarray, axis: int, sign: int
) -> None:
    distance = np.linalg.norm(REST - where, axis=1)
    lower = name in ("mouthLowerDownLeft", "mouthFunnel", "mouthRollLower", "mouthPressLeft")
    distance += 1.0 * ((SURFACE.lower > 0.5) != lower) * SURFACE.lips
    nearest = int(distance.argmin())
    assert sign * moved(name)[nearest, axis] > 0.001


def mirror_order() -> np.ndarray:
    column = np.arange(head.COLUMNS)
    swapped = (head.COLUMNS // 2 - column) % head.COLUMNS
    rows = np.arange(len(REST) // head.COLUMNS)[:, None] * head.COLUMNS
    return (rows + swapped).ravel()


FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    "name",
    ["jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "browInnerUp", "cheekPuff"],
)
def test_shapes_without_a_side_are_symmetric(name: str) -> None:
    move = moved(name)
    np.testing.assert_allclose(move[mirror_order()] * FLIP, move, atol=2e-6)


@pytest.mark.parametrize("name", [n for n in ARKIT_52_NAMES if n.endswith("Left")])
def test_the_right_shape_mirrors_the_left(name: str) -> None:
    other = name.removesuffix("Left") + "Right"
    np.testing.assert_allclose(moved(name)[mirror_order()] * FLIP, moved(other), atol=2e-6)


def test_all_the_shapes_that_matter_are_there() -> None:
    missing = {name for name in ARKIT_51.coefficients if field_of(name) is None}
    assert missing == {name for name in ARKIT_51.coefficients if name.startswith("eye")}


def test_no_shape_tears_the_face() -> None:
    for name in ARKIT_51.coefficients:
        move = moved(name)
        assert np.isfinite(move).all()
        assert np.linalg.norm(move, axis=1).max() < 0.035, name
