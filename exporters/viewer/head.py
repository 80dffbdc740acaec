"""A head made of formulas: one grid of vertices around the mouth, lids, eyes, brows, hair.

Everything is in the frame of the head joint: metres, +Y up, the face looks to +Z, the character's
left is +X. The grid's rings run from inside the mouth over the lips and the face to the back of the
head, so the mouth can open where its first two halves meet. Expressions are in `expressions`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from exporters.viewer.geometry import Mesh, Numbers, bump, ellipsoid, grid_faces, join, step, tube

CENTRE: Final = np.array([0.0, 0.045, 0.0], np.float32)
RADII: Final = np.array([0.079, 0.118, 0.094], np.float32)
MOUTH: Final = (0.0, -0.027)  # x and y in metres
MOUTH_WIDTH: Final = 0.026  # half
EYE: Final = np.array([0.0335, 0.043, 0.0685], np.float32)  # the left one
EYE_RADIUS: Final = 0.0175
COLUMNS: Final = 64
_MOUTH_ANGLE: Final = -0.62  # of the grid's pole below the horizon of the unit sphere

# Rings around the mouth as half-axes (radians on the unit sphere), and how far they stand out.
_LIP_RINGS: Final = (
    (0.315, 0.000, -0.004),
    (0.322, 0.010, 0.0005),
    (0.335, 0.032, 0.0030),
    (0.350, 0.055, 0.0030),
    (0.366, 0.074, 0.0012),
    (0.385, 0.090, 0.0),
)
# The mouth's inside from its back wall forwards: scale, metres behind the lips.
_BAG_DEPTHS: Final = ((0.0, 0.031), (0.75, 0.028), (0.92, 0.016), (1.0, 0.006))
_SKIN_RINGS: Final = 27


@dataclass(frozen=True)
class HeadGrid:
    """The deforming part at rest: V = (rings * COLUMNS) vertices.

    vertices: `[V, 3]`. lower: `[V]`, 0 on the upper side of the mouth, 1 on the lower one, in
    between at its corners and away from it. lips: `[V]`, 1 on the lips, 0 elsewhere.
    """

    vertices: Numbers
    lower: Numbers
    lips: Numbers

    @cached_property
    def bag(self) -> slice:
        """Vertices of the mouth's inside, including the innermost ring of the lips."""
        return slice(0, (len(_BAG_DEPTHS) + 1) * COLUMNS)

    @cached_property
    def mouth(self) -> slice:
        """Vertices of the lips."""
        first = len(_BAG_DEPTHS) * COLUMNS
        return slice(first, first + len(_LIP_RINGS) * COLUMNS)

    @cached_property
    def skin(self) -> slice:
        """Vertices of the face and the rest of the head, including the lips' outermost ring."""
        return slice((len(_BAG_DEPTHS) + len(_LIP_RINGS) - 1) * COLUMNS, len(self.vertices))

    def mesh(self, part: slice) -> Mesh:
        """The mesh of one of the three slices, at rest."""
        rows = (part.stop - part.start) // COLUMNS
        return Mesh(self.vertices[part], grid_faces(rows, COLUMNS, closed=True)[:, ::-1].copy())


def head_surface(direction: Numbers) -> Numbers:
    """Points `[..., 3]` of the head without lips in unit directions `[..., 3]` from CENTRE."""
    point: Numbers = direction * RADII
    x, y, z = point[..., 0], point[..., 1], point[..., 2]
    front = step(direction[..., 2], 0.0, 0.55)
    # Fuller than an egg above, a broad chin below, a longer skull behind.
    narrow = 1.0 + 0.10 * bump((y - 0.066) / 0.055) - 0.07 * bump((y + 0.055) / 0.03)
    x = x * narrow * (1.0 - 0.05 * front)
    z = z * (1.0 + 0.10 * step(z, 0.0, -0.09))
    y = y - 0.010 * step(y, 0.060, 0.118) + CENTRE[1]
    z = z + front * _relief(x, y)
    return np.stack([x, y, z], -1)


def _relief(x: Numbers, y: Numbers) -> Numbers:
    """How far the face stands out of the ellipsoid at `x`, `y`, in metres."""
    side = np.abs(x)
    ridge = step(y, 0.050, 0.006) * step(y, -0.012, -0.002)
    nose = 0.021 * ridge * bump(x / (0.0075 + 0.004 * step(y, 0.03, 0.0)))
    wings = 0.0075 * bump(np.hypot((side - 0.010) / 0.006, (y - 0.002) / 0.0065))
    socket = -0.0115 * bump(np.hypot((side - EYE[0]) / 0.021, (y - EYE[1]) / 0.017))
    brow = 0.0040 * bump((y - 0.069) / 0.011) * bump((side - 0.026) / 0.028)
    cheek = 0.0045 * bump(np.hypot((side - 0.040) / 0.020, (y - 0.0) / 0.020))
    muzzle = 0.0075 * bump(np.hypot(x / 0.032, (y - MOUTH[1]) / 0.026))
    chin = 0.0120 * bump(np.hypot(x / 0.030, (y + 0.062) / 0.018))
    groove = -0.0030 * bump(np.hypot(x / 0.018, (y + 0.046) / 0.007))
    return nose + wings + socket + brow + cheek + muzzle + chin + groove


def _directions(half_axes: Numbers) -> Numbers:
    """Unit directions `[R, COLUMNS, 3]` of rings around the mouth, half-axes `[R, 2]` radians."""
    angle = np.arange(COLUMNS) * (2 * np.pi / COLUMNS)
    a = half_axes[:, :1] * np.cos(angle)
    b = half_axes[:, 1:] * np.sin(angle)
    far = np.hypot(a, b)
    scale = np.sinc(far / np.pi)  # sin(far) / far
    local = np.stack([a * scale, b * scale, np.cos(far)], -1)
    c, s = np.cos(_MOUTH_ANGLE), np.sin(_MOUTH_ANGLE)
    x, y, z = local[..., 0], local[..., 1], local[..., 2]
    return np.stack([x, c * y + s * z, c * z - s * y], -1)


def _ring_axes() -> Numbers:
    """Half-axes `[R, 2]` of all rings outside the mouth."""
    lips = np.array([ring[:2] for ring in _LIP_RINGS])
    t = np.arange(1, _SKIN_RINGS + 1) / _SKIN_RINGS
    wide = lips[-1, 0] + (np.pi - 0.03 - lips[-1, 0]) * (0.45 * t + 0.55 * t**2.2)
    ratio = lips[-1, 1] / lips[-1, 0]
    high = wide * (ratio + (1.0 - ratio) * step(t, -0.02, 0.38))
    return np.concatenate([lips, np.stack([wide, high], 1)])


def build_grid() -> HeadGrid:
    """The head at rest, mouth closed."""
    axes = _ring_axes()
    outside = head_surface(_directions(axes))
    stand_out = np.zeros(len(axes))
    stand_out[: len(_LIP_RINGS)] = [ring[2] for ring in _LIP_RINGS]
    angle = np.arange(COLUMNS) * (2 * np.pi / COLUMNS)
    # Lips taper to the corners; the upper one has a bow, the lower one is fuller.
    fullness = np.abs(np.sin(angle)) ** 0.6
    fullness *= np.where(np.sin(angle) < 0, 1.25, 1.0 - 0.25 * bump(np.cos(angle) / 0.18))
    outside[..., 2] += stand_out[:, None] * fullness
    innermost = outside[0]
    middle = innermost.mean(0)
    bag = [
        np.concatenate([(innermost - middle) * scale + middle], 0) - np.array([0.0, 0.0, depth])
        for scale, depth in _BAG_DEPTHS
    ]
    rings = np.concatenate([np.stack(bag), outside])
    lower = _lower_side(rings, np.sin(angle), len(_BAG_DEPTHS))
    lips = np.zeros(rings.shape[:2])
    lips[: len(_BAG_DEPTHS) + len(_LIP_RINGS)] = 1.0
    return HeadGrid(
        rings.reshape(-1, 3).astype(np.float32),
        lower.ravel().astype(np.float32),
        lips.ravel().astype(np.float32),
    )


def _lower_side(rings: Numbers, sine: Numbers, bag_rings: int) -> Numbers:
    """Which side of the mouth each vertex `[R, COLUMNS]` is on, 0 above to 1 below.

    At the mouth the two sides touch, so there the vertex's place in its ring decides.
    """
    closeness = np.exp((bag_rings - np.arange(rings.shape[0]).clip(bag_rings)) / 3.0)
    height = rings[..., 1] - MOUTH[1] + 0.012 * closeness[:, None] * sine
    aside = (np.abs(rings[..., 0]) - MOUTH_WIDTH).clip(0.0)
    blend = 0.005 + 0.35 * aside
    return 1.0 - step(height / blend, -1.0, 1.0)


def brow_mesh(side: float) -> Mesh:
    """An eyebrow on the forehead; `side` is 1 for the character's left, -1 for the right."""
    t = np.linspace(0.0, 1.0, 12)
    x = 0.0135 + 0.038 * t
    y = 0.0675 + 0.0060 * np.sin(np.pi * (0.12 + 0.62 * t)) - 0.004 * t**2
    point = np.stack([x, y, _surface_depth(x, y) + 0.0015], 1)
    thick = 0.0036 * np.sqrt(np.sin(np.pi * (0.10 + 0.86 * t))) * (1.15 - 0.45 * t)
    along = np.gradient(point, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    outward = np.stack([0.35 * t, 0.25 + 0 * t, 1.0 - 0.1 * t], 1)
    across = np.cross(outward, along)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(along, across)
    mesh = tube(point, across * thick[:, None], up * thick[:, None] * 0.75, segments=8)
    if side > 0:
        return mesh
    return Mesh(mesh.vertices * np.array([-1, 1, 1], np.float32), mesh.faces[:, ::-1].copy())


def _surface_depth(x: Numbers, y: Numbers) -> Numbers:
    """Z of the face at `x`, `y`: a few fixed-point steps through `head_surface`."""
    direction = np.stack([x / RADII[0], (y - CENTRE[1]) / RADII[1], 0 * x], -1)
    for _ in range(8):
        inside = (1.0 - (direction[..., :2] ** 2).sum(-1)).clip(0.0)
        direction[..., 2] = np.sqrt(inside)
        reached = head_surface(direction)
        direction[..., 0] += (x - reached[..., 0]) / RADII[0]
        direction[..., 1] += (y - reached[..., 1]) / RADII[1]
    direction[..., 2] = np.sqrt((1.0 - (direction[..., :2] ** 2).sum(-1)).clip(0.0))
    return head_surface(direction)[..., 2]


def hair_mesh() -> Mesh:
    """A cap of short hair: the skull, a little larger, down to the hairline."""
    azimuth = np.linspace(0.0, 2 * np.pi, 40, endpoint=False)  # 0 is the left ear, pi/2 the face
    facing = np.sin(azimuth)
    # The hairline as an angle from straight up: high over the face, low at the neck.
    line = 1.02 + 0.60 * step(facing, 0.55, -0.05) + 0.45 * step(facing, -0.25, -0.9)
    line += 0.10 * bump(azimuth - 1.15) - 0.05 * bump((azimuth - 2.2) / 0.5)
    t = np.linspace(0.02, 1.0, 14)[:, None]
    polar = t * line
    direction = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.cos(polar) + 0 * azimuth, np.sin(polar) * facing], -1
    )
    thickness = 0.011 * (1.0 - step(t, 0.86, 1.0)) - 0.003 * step(t, 0.94, 1.0)
    vertices = (
        head_surface(direction)
        + direction * (thickness * (1.0 + 0.25 * facing * np.sin(polar)))[..., None]
    )
    faces = grid_faces(*vertices.shape[:2], closed=True)
    return Mesh(vertices.reshape(-1, 3).astype(np.float32), faces)


def ears_mesh() -> Mesh:
    """Two plain ears."""
    ears = []
    for side in (1.0, -1.0):
        outer = ellipsoid(
            np.array([side * 0.0775, 0.028, -0.006]), np.array([0.011, 0.029, 0.017]), 10, 12
        )
        lobe = ellipsoid(
            np.array([side * 0.0745, 0.006, -0.002]), np.array([0.008, 0.011, 0.010]), 6, 8
        )
        ears += [outer, lobe]
    return join(ears)


def teeth_mesh() -> Mesh:
    """The upper row of teeth, a curved white band behind the upper lip."""
    angle = np.linspace(-1.15, 1.15, 15)
    radius = 0.0215
    middle = np.stack(
        [radius * np.sin(angle), 0 * angle + MOUTH[1] + 0.0060, radius * np.cos(angle) + 0.0555], 1
    )
    outward = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    upward = np.tile([0.0, 1.0, 0.0], (len(angle), 1))
    return tube(middle, upward * 0.0050, outward * 0.0022, segments=10)


def tongue_mesh() -> Mesh:
    """A tongue lying on the floor of the mouth; it goes with the jaw."""
    return ellipsoid(
        np.array([0.0, MOUTH[1] - 0.006, 0.046]), np.array([0.015, 0.006, 0.022]), 10, 14
    )
