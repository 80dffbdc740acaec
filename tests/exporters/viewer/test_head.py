"""The head at rest: closed mouth, both sides alike, nose in front, everything outwards."""

import numpy as np
import pytest

from exporters.viewer import head
from exporters.viewer.geometry import Mesh

GRID = head.build_grid()


def volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return float(np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6.0)


def rings(part: slice) -> np.ndarray:
    return GRID.vertices[part].reshape(-1, head.COLUMNS, 3)


def test_the_head_is_as_large_as_a_head() -> None:
    low, high = GRID.vertices.min(0), GRID.vertices.max(0)
    assert 0.14 < high[0] - low[0] < 0.19
    assert 0.20 < high[1] - low[1] < 0.26
    assert 0.19 < high[2] - low[2] < 0.24


def test_the_left_side_mirrors_the_right() -> None:
    mirrored = rings(slice(0, None)) * np.array([-1.0, 1.0, 1.0])
    half = head.COLUMNS // 2
    order = (half - np.arange(head.COLUMNS)) % head.COLUMNS
    np.testing.assert_allclose(mirrored[:, order], rings(slice(0, None)), atol=1e-6)


def test_the_mouth_is_closed_at_rest() -> None:
    inner = rings(GRID.mouth)[0]
    above, below = inner[1 : head.COLUMNS // 2], inner[head.COLUMNS // 2 + 1 :][::-1]
    assert np.abs(above[:, 1] - below[:, 1]).max() < 0.0005


def test_the_lips_know_which_is_the_upper() -> None:
    lower = GRID.lower[GRID.mouth].reshape(-1, head.COLUMNS)
    quarter = head.COLUMNS // 4
    assert (lower[:, quarter] < 0.05).all()
    assert (lower[:, 3 * quarter] > 0.95).all()


def test_the_nose_is_the_foremost_point_of_the_face() -> None:
    tip = GRID.vertices[GRID.skin][GRID.vertices[GRID.skin][:, 2].argmax()]
    assert abs(tip[0]) < 0.004
    assert head.MOUTH[1] < tip[1] < head.EYE[1]


def test_the_parts_share_their_borders_and_cover_the_grid() -> None:
    assert GRID.bag.start == 0
    assert GRID.bag.stop - head.COLUMNS == GRID.mouth.start
    assert GRID.mouth.stop - head.COLUMNS == GRID.skin.start
    assert GRID.skin.stop == len(GRID.vertices)


@pytest.mark.parametrize(
    "mesh",
    [
        GRID.mesh(slice(GRID.mouth.start, GRID.skin.stop)),
        head.hair_mesh(),
        head.ears_mesh(),
        head.teeth_mesh(),
        head.tongue_mesh(),
        head.brow_mesh(1.0),
        head.brow_mesh(-1.0),
    ],
    ids=["grid", "hair", "ears", "teeth", "tongue", "brow left", "brow right"],
)
def test_surfaces_face_outwards(mesh: Mesh) -> None:
    # About their own centre, because open meshes have no volume.
    assert volume(Mesh(mesh.vertices - mesh.vertices.mean(0), mesh.faces)) > 0.0


def test_brows_lie_on_the_forehead() -> None:
    brow = head.brow_mesh(1.0).vertices
    skin = GRID.vertices[GRID.skin]
    for point in brow[::16]:
        nearest = skin[np.argmin(np.linalg.norm(skin[:, :2] - point[:2], axis=1) - 10 * skin[:, 2])]
        assert np.linalg.norm(skin - point, axis=1).min() < 0.012
        assert nearest[2] > 0.0


def test_teeth_and_tongue_are_inside_the_closed_mouth() -> None:
    lips = rings(GRID.mouth)[0]
    middle = lips[head.COLUMNS // 4, 2]
    assert head.teeth_mesh().vertices[:, 2].max() < middle
    assert head.tongue_mesh().vertices[:, 2].max() < middle


def test_the_mouth_has_a_back_wall() -> None:
    deepest = rings(GRID.bag)[0]
    assert np.ptp(deepest, axis=0).max() < 0.002, "one could look through it into the head"
    assert deepest[:, 2].max() < rings(GRID.mouth)[0][:, 2].min()
