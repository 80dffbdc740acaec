"""Coefficients of a basis become vertices: the right basis, the right pieces, no tearing."""

import numpy as np
import pytest

from engine.motion import rotation
from engine.motion.face_basis import ARKIT_51, ARKIT_52, FLAME_100
from exporters.viewer.expressions import JAW_OPENING
from exporters.viewer.face import FaceRig

RIG = FaceRig(ARKIT_51)
STILL = rotation.identity()


def face(**weights: float) -> np.ndarray:
    result = np.zeros(ARKIT_51.width, np.float32)
    for name, value in weights.items():
        result[ARKIT_51.coefficients.index(name)] = value
    return result


def piece(vertices: np.ndarray, number: int) -> np.ndarray:
    start = sum(p.count for p in RIG.pieces[:number])
    return vertices[start : start + RIG.pieces[number].count]


def numbers(colour: str) -> list[int]:
    return [i for i, p in enumerate(RIG.pieces) if p.colour == colour]


def test_pieces_account_for_every_vertex() -> None:
    vertices = RIG.pose(face(), STILL)
    assert len(vertices) == sum(p.count for p in RIG.pieces)
    for p in RIG.pieces:
        assert p.mesh.faces.max() == p.count - 1


def test_bases_with_other_orders_give_the_same_face() -> None:
    other = np.zeros(ARKIT_52.width, np.float32)
    other[ARKIT_52.coefficients.index("mouthSmileLeft")] = 0.7
    np.testing.assert_allclose(
        FaceRig(ARKIT_52).pose(other, STILL), RIG.pose(face(mouthSmileLeft=0.7), STILL), atol=1e-7
    )


def test_a_flame_face_opens_by_its_jaw_joint() -> None:
    rig = FaceRig(FLAME_100)
    jaw = rotation.exp(np.array([JAW_OPENING / 2, 0.0, 0.0], np.float32))
    np.testing.assert_allclose(
        rig.pose(np.zeros(100, np.float32), jaw),
        FaceRig(ARKIT_52).pose(_jaw_open(0.5), STILL),
        atol=1e-6,
    )


def _jaw_open(value: float) -> np.ndarray:
    result = np.zeros(ARKIT_52.width, np.float32)
    result[ARKIT_52.coefficients.index("jawOpen")] = value
    return result


def test_a_blink_moves_the_lids_of_its_eye_only() -> None:
    rest, blink = RIG.pose(face(), STILL), RIG.pose(face(eyeBlinkLeft=1.0), STILL)
    moved = np.linalg.norm(blink - rest, axis=1) > 1e-6
    left, right = numbers("lid")[:2], numbers("lid")[2:]
    assert all(piece(moved, i).any() for i in left)
    assert not any(piece(moved, i).any() for i in right)
    assert not piece(moved, numbers("skin")[0]).any()


def test_mouth_close_alone_does_nothing() -> None:
    np.testing.assert_array_equal(RIG.pose(face(mouthClose=1.0), STILL), RIG.pose(face(), STILL))


@pytest.mark.parametrize("value", [np.nan, np.inf, -5.0, 1e9])
def test_wild_coefficients_do_not_tear_the_face(value: float) -> None:
    wild = RIG.pose(np.full(ARKIT_51.width, value, np.float32), STILL)
    assert np.isfinite(wild).all()
    assert np.abs(wild).max() < 0.5
