"""Displacement fields of ARKit's face shapes on the head's grid, added up linearly.

Each field is defined for the character's left (+X) and mirrored for the right. Lids and eyes rotate
instead: see `eyes`. Shapes without a field (such as the tongue) do nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from exporters.viewer.geometry import Numbers, bump, step
from exporters.viewer.head import MOUTH, MOUTH_WIDTH, HeadGrid

# Lower and further back than the joint: a real jaw also slides forward as it opens.
JAW_HINGE: Final = np.array([0.0, -0.004, -0.018], np.float32)
JAW_OPENING: Final = 0.24  # radians at jawOpen = 1
BROW_HEIGHT: Final = 0.071


@dataclass(frozen=True)
class Surface:
    """Points to displace: `rest` `[V, 3]`, and `lower`, `lips` `[V]` as in HeadGrid."""

    rest: Numbers
    lower: Numbers
    lips: Numbers

    @property
    def x(self) -> Numbers:
        """Metres to the character's left."""
        return self.rest[:, 0]

    @property
    def y(self) -> Numbers:
        """Metres above the head joint."""
        return self.rest[:, 1]

    @property
    def front(self) -> Numbers:
        """0 behind the ears to 1 on the face."""
        return step(self.rest[:, 2], 0.0, 0.04)

    @property
    def jaw(self) -> Numbers:
        """Share of the jaw's motion that a point follows, 0..1."""
        reach = step(self.rest[:, 2], -0.02, 0.035) * step(self.y, 0.012, -0.016)
        return self.lower * np.maximum(reach, self.lips)

    def near(self, x: float, y: float, wide: float, high: float) -> Numbers:
        """A hill around `x`, `y` on the face."""
        return bump(np.hypot((self.x - x) / wide, (self.y - y) / high)) * self.front

    def around_mouth(self, wide: float = 0.030, high: float = 0.016) -> Numbers:
        """A hill over the whole mouth that is flat across the lips."""
        aside = (np.abs(self.x) - MOUTH_WIDTH).clip(0.0) / (wide - 0.015)
        above = (np.abs(self.y - MOUTH[1]) - 0.009).clip(0.0) / high
        return bump(np.hypot(aside, above)) * self.front

    def half(self) -> Numbers:
        """1 on the left side, 0 on the right, smooth across the middle."""
        return step(self.x, -0.012, 0.012)

    def push(self, weight: Numbers, x: float, y: float, z: float) -> Numbers:
        """Displacements `[V, 3]` of `weight` `[V]` times millimetres."""
        return weight[:, None] * np.array([x, y, z], np.float32) * 1e-3


_Field = Callable[[Surface], Numbers]


def jaw_open(s: Surface) -> Numbers:
    """A turn of the jaw about its hinge, as the chord of the full opening."""
    c, n = np.cos(JAW_OPENING) - 1.0, np.sin(JAW_OPENING)
    y, z = s.rest[:, 1] - JAW_HINGE[1], s.rest[:, 2] - JAW_HINGE[2]
    turned = np.stack([0 * y, c * y - n * z, c * z + n * y], 1)
    narrow = s.push(s.around_mouth() * -np.sign(s.x) * step(np.abs(s.x), 0.0, 0.03), 3.0, 0.0, 0.0)
    return turned * s.jaw[:, None] + narrow


def mouth_close(s: Surface) -> Numbers:
    """Bring the lips of an open jaw together: the lower follows most of the way."""
    lips = s.around_mouth(0.026, 0.010)
    back = -jaw_open(s) * 0.72 * lips[:, None]
    upper = (1.0 - s.lower) * lips * step(MOUTH_WIDTH - np.abs(s.x), 0.0, 0.015)
    opened = float(np.sin(JAW_OPENING) * 104.0)  # millimetres at the lips
    return back + s.push(upper, 0.0, -0.28 * opened, 0.0)


def _inwards(s: Surface, weight: Numbers, share: float) -> Numbers:
    """Towards the middle by `share` of the distance."""
    move = np.zeros_like(s.rest)
    move[:, 0] = -share * s.x * weight
    return move


def _pucker(s: Surface) -> Numbers:
    mouth = s.around_mouth()
    fuller = s.push(mouth * s.lips * (1.0 - 2.0 * s.lower), 0.0, 1.5, 0.0)
    return _inwards(s, mouth, 0.46) + s.push(mouth, 0.0, 0.0, 10.0) + fuller


def _funnel(s: Surface) -> Numbers:
    mouth = s.around_mouth()
    middle = mouth * step(MOUTH_WIDTH - np.abs(s.x), 0.0, 0.014)
    opened = s.push(middle * (1.0 - s.lower), 0.0, 4.0, 0.0) - s.push(
        middle * s.lower, 0.0, 6.0, 0.0
    )
    return _inwards(s, mouth, 0.26) + s.push(mouth, 0.0, 0.0, 8.0) + opened


def _smile(s: Surface) -> Numbers:
    corner = s.near(MOUTH_WIDTH, MOUTH[1], 0.019, 0.018)
    cheek = s.near(0.044, -0.002, 0.018, 0.018)
    return s.push(corner, 8.0, 9.5, -5.0) + s.push(cheek, 2.0, 4.0, 4.0)


def _corner(x: float, y: float, z: float) -> _Field:
    return lambda s: s.push(s.near(MOUTH_WIDTH, MOUTH[1], 0.018, 0.016), x, y, z)


def _lip(upper: float, lower: float, forward: float = 0.0) -> _Field:
    """Move the lips of one side up or down, in millimetres."""

    def field(s: Surface) -> Numbers:
        lips = s.around_mouth(0.026, 0.011) * s.half()
        lips = lips * step(MOUTH_WIDTH - np.abs(s.x), -0.004, 0.012)
        return s.push(lips * (1.0 - s.lower), 0.0, upper, forward) + s.push(
            lips * s.lower, 0.0, lower, forward
        )

    return field


def _both(field: _Field) -> _Field:
    """A one-sided field on both sides."""
    return lambda s: field(s) + _mirrored(field)(s)


def _mirrored(field: _Field) -> _Field:
    """The same on the character's right."""
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    return lambda s: field(Surface(s.rest * flip, s.lower, s.lips)) * flip


def _sideways(millimetres: float) -> _Field:
    return lambda s: s.push(np.maximum(s.jaw, 0.3 * s.around_mouth()), millimetres, 0.0, 0.0)


def _brow_outer(s: Surface) -> Numbers:
    return s.push(s.near(0.044, BROW_HEIGHT, 0.018, 0.014), 0.0, 9.0, 0.0)


def _brow_inner(s: Surface) -> Numbers:
    return s.push(s.near(0.015, BROW_HEIGHT, 0.014, 0.014), 0.0, 9.0, 0.0)


def _brow_down(s: Surface) -> Numbers:
    inner = s.near(0.016, BROW_HEIGHT, 0.016, 0.014)
    return s.push(inner, -2.5, -7.5, 1.0) + s.push(
        s.near(0.042, BROW_HEIGHT, 0.016, 0.014), 0.0, -2.5, 0.0
    )


_MIDDLE: Final[Mapping[str, _Field]] = {
    "jawOpen": jaw_open,
    "jawForward": lambda s: s.push(s.jaw, 0.0, 0.0, 6.0),
    "jawLeft": _sideways(8.0),
    "jawRight": _sideways(-8.0),
    "mouthClose": mouth_close,
    "mouthFunnel": _funnel,
    "mouthPucker": _pucker,
    "mouthLeft": lambda s: s.push(s.around_mouth(), 9.0, 0.0, 0.0),
    "mouthRight": lambda s: s.push(s.around_mouth(), -9.0, 0.0, 0.0),
    "mouthRollLower": lambda s: s.push(s.lips * s.lower * s.around_mouth(), 0.0, 2.5, -5.0),
    "mouthRollUpper": lambda s: s.push(s.lips * (1 - s.lower) * s.around_mouth(), 0.0, -2.5, -5.0),
    "mouthShrugLower": lambda s: s.push(s.jaw * s.around_mouth(0.03, 0.03), 0.0, 4.0, 3.0),
    "mouthShrugUpper": lambda s: s.push((1 - s.lower) * s.around_mouth(), 0.0, 3.0, 2.5),
    "browInnerUp": _both(_brow_inner),
    "cheekPuff": _both(lambda s: s.push(s.near(0.047, -0.020, 0.024, 0.024), 9.0, 0.0, 8.0)),
}

_SIDED: Final[Mapping[str, _Field]] = {
    "mouthSmile": _smile,
    "mouthFrown": _corner(2.0, -9.0, -2.0),
    "mouthDimple": _corner(5.0, 1.0, -6.0),
    "mouthStretch": _corner(9.0, -3.0, -5.0),
    "mouthPress": _lip(-1.5, 1.5, -2.5),
    "mouthUpperUp": _lip(6.5, 0.0),
    "mouthLowerDown": _lip(0.0, -7.0),
    "browDown": _brow_down,
    "browOuterUp": _brow_outer,
    "cheekSquint": lambda s: s.push(s.near(0.040, 0.012, 0.018, 0.012), 0.0, 4.0, 3.0),
    "noseSneer": lambda s: s.push(s.near(0.011, 0.004, 0.010, 0.012), 1.0, 4.0, 1.0),
}


def field_of(name: str) -> _Field | None:
    """The displacement field of an ARKit shape, or None where there is none."""
    if name in _MIDDLE:
        return _MIDDLE[name]
    for side, wrap in (("Left", lambda f: f), ("Right", _mirrored)):
        base = name.removesuffix(side)
        if base != name and base in _SIDED:
            return wrap(_SIDED[base])
    return None


def shape_matrix(surface: Surface, names: Sequence[str]) -> Numbers:
    """Displacements `[E, V * 3]` of all shapes `names`, zeros for those without a field."""
    result = np.zeros((len(names), surface.rest.size), np.float32)
    for row, name in zip(result, names, strict=True):
        field = field_of(name)
        if field is not None:
            row[:] = field(surface).ravel()
    return result


def surface_of(grid: HeadGrid) -> Surface:
    """The head's grid as points to displace."""
    return Surface(grid.vertices, grid.lower, grid.lips)
