"""Meshes are closed, face outwards and have the given positions."""

import numpy as np
import pytest

from exporters.viewer.geometry import Mesh, bump, capsule, ellipsoid, join, step


def volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return float(np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6.0)


@pytest.mark.parametrize("end", [(0, 2, 0), (0, -2, 0), (2, 0, 0), (0, 0, -2), (1, 1, 1.5)])
def test_a_capsule_faces_outwards_and_has_its_volume(end: tuple[float, float, float]) -> None:
    last = np.array(end, np.float32)
    length = float(np.linalg.norm(last))
    mesh = capsule(np.zeros(3), last, (0.5, 0.5), segments=48, caps=16)
    expected = np.pi * 0.25 * length + 4 / 3 * np.pi * 0.125
    assert volume(mesh) == pytest.approx(expected, rel=0.02)


def test_a_tapered_capsule_is_thicker_at_its_thick_end() -> None:
    mesh = capsule(np.zeros(3), np.array([0.0, 1.0, 0.0]), (0.2, 0.1))
    radius = np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 2])
    assert radius[mesh.vertices[:, 1] < 0.01].max() == pytest.approx(0.2, abs=1e-5)
    assert radius[mesh.vertices[:, 1] > 0.99].max() == pytest.approx(0.1, abs=1e-5)


def test_a_flat_capsule_is_flat_upwards() -> None:
    mesh = capsule(np.zeros(3), np.array([1.0, 0.0, 0.0]), (0.2, 0.2), flatten=0.5, segments=16)
    extent = mesh.vertices.max(0)
    assert extent[1] == pytest.approx(0.1, abs=1e-5)
    assert extent[2] == pytest.approx(0.2, abs=1e-5)


def test_an_ellipsoid_has_its_volume() -> None:
    mesh = ellipsoid(np.array([3.0, 0.0, 0.0]), np.array([1.0, 2.0, 0.5]), 40, 60)
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi, rel=0.02)
    assert mesh.vertices.mean(0)[0] == pytest.approx(3.0, abs=1e-4)


def test_joined_meshes_keep_their_faces() -> None:
    one = ellipsoid(np.zeros(3), np.ones(3))
    two = ellipsoid(np.array([5.0, 0.0, 0.0]), np.ones(3))
    both = join([one, two])
    assert volume(both) == pytest.approx(volume(one) + volume(two), rel=1e-4)


def test_step_and_bump_have_the_ends_that_they_promise() -> None:
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(step(x, 0.0, 1.0), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(step(x, 1.0, 0.0), [1, 1, 0.5, 0, 0])
    assert bump(np.array([0.0, 1.0])) == pytest.approx([1.0, np.exp(-1)])
