"""Meshes from formulas: grids, tubes, capsules, spheres."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[Any]  # reals; formulas compute in double, frames go out in single
Faces: TypeAlias = NDArray[np.uint32]


@dataclass(frozen=True)
class Mesh:
    """Triangles: vertices `[V, 3]` in metres, faces `[F, 3]`, counter-clockwise from outside."""

    vertices: Numbers
    faces: Faces


def grid_faces(rows: int, columns: int, *, closed: bool) -> Faces:
    """Triangles of a grid of vertices, row by row; `closed` joins the last column to the first.

    Seen from outside, columns run to the left of the direction in which rows follow one another.
    """
    last = columns if closed else columns - 1
    row, column = (x.ravel() for x in np.meshgrid(np.arange(rows - 1), np.arange(last)))
    following = (column + 1) % columns
    a, b = row * columns + column, row * columns + following
    c, d = a + columns, b + columns
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    return triangles.astype(np.uint32)


def tube(centres: Numbers, across: Numbers, up: Numbers, segments: int = 16) -> Mesh:
    """A closed surface of elliptic rings: `centres` `[R, 3]`, half-axes `across`, `up` `[R, 3]`.

    `across` x `up` points along the tube.
    """
    angle = np.arange(segments) * (2 * np.pi / segments)
    rings = (
        centres[:, None]
        + np.cos(angle)[None, :, None] * across[:, None]
        + np.sin(angle)[None, :, None] * up[:, None]
    )
    return Mesh(
        rings.reshape(-1, 3).astype(np.float32), grid_faces(len(centres), segments, closed=True)
    )


def frame_along(direction: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Unit vectors (across, up, along) of a right-handed frame whose last axis is `direction`.

    `up` is as near to +Y as it can be; for a vertical direction it is to the front or the back.
    """
    along = direction / max(float(np.linalg.norm(direction)), 1e-9)
    helper = np.array([0.0, 1.0, 0.0] if abs(along[1]) < 0.95 else [0.0, 0.0, 1.0], np.float32)
    across = np.cross(helper, along)
    across /= np.linalg.norm(across)
    return across, np.cross(along, across), along


def capsule(
    start: Numbers,
    end: Numbers,
    radii: tuple[float, float],
    *,
    segments: int = 12,
    caps: int = 4,
    flatten: float = 1.0,
) -> Mesh:
    """A tapered capsule from `start` to `end` with round ends.

    flatten: scale of the second cross axis (upward for horizontal bones), for palms and feet.
    """
    across, up, along = frame_along(end - start)
    bend = np.linspace(0.0, np.pi / 2, caps + 1)
    position = np.concatenate([-np.cos(bend) * radii[0], np.sin(bend) * radii[1]])
    radius = np.concatenate([np.sin(bend) * radii[0], np.cos(bend) * radii[1]]).clip(1e-5)
    base = np.repeat(np.stack([start, end]), caps + 1, axis=0)
    centres = base + position[:, None] * along
    return tube(centres, radius[:, None] * across, radius[:, None] * up * flatten, segments)


def ellipsoid(centre: Numbers, radii: Numbers, rings: int = 10, segments: int = 16) -> Mesh:
    """An ellipsoid with its poles on the z axis."""
    bend = np.linspace(0.0, np.pi, rings).clip(1e-3, np.pi - 1e-3)
    along = np.array([0.0, 0.0, 1.0], np.float32) * radii
    centres = np.asarray(centre) - np.cos(bend)[:, None] * along
    across = np.sin(bend)[:, None] * (np.array([1.0, 0.0, 0.0]) * radii)
    up = np.sin(bend)[:, None] * (np.array([0.0, 1.0, 0.0]) * radii)
    return tube(centres, across, up, segments)


def join(meshes: list[Mesh]) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float32),
        np.concatenate(
            [mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
        ).astype(np.uint32),
    )


def bump(distance: Numbers) -> Numbers:
    """A smooth hill: 1 at distance 0, 0.37 at 1, almost 0 at 2."""
    return np.exp(-(distance**2))


def step(x: Numbers, low: float, high: float) -> Numbers:
    """Smoothly from 0 at `low` to 1 at `high` (which may be the smaller)."""
    t = ((x - low) / (high - low)).clip(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
