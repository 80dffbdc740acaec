"""Eyes and lids: round meshes that rotate about the eye's centre.

A lid is a shell that slides over the eyeball about the eye's x axis. Angles are radians above
straight ahead.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.motion import rotation
from exporters.viewer.geometry import Mesh, Numbers, grid_faces, tube
from exporters.viewer.head import EYE_RADIUS

UPPER_REST: Final = 0.58
LOWER_REST: Final = -0.60
MEET: Final = -0.22  # where the lids meet when the eye is closed
_LID_RADIUS: Final = EYE_RADIUS * 1.05
_WIDE: Final = 0.28
_SQUINT: Final = 0.30
_LOOK_UP, _LOOK_SIDE = 0.45, 0.55


@dataclass(frozen=True)
class EyeWeights:
    """ARKit weights of one eye, 0..1."""

    blink: float = 0.0
    wide: float = 0.0
    squint: float = 0.0
    up: float = 0.0
    down: float = 0.0
    inwards: float = 0.0
    outwards: float = 0.0


def lid_angles(eye: EyeWeights) -> tuple[float, float]:
    """Angles of the edges of the upper and the lower lid; they meet but never cross."""
    upper = UPPER_REST + _WIDE * eye.wide + 0.20 * eye.up - 0.30 * eye.down - 0.12 * eye.squint
    lower = LOWER_REST + _SQUINT * eye.squint - 0.10 * eye.down - 0.08 * eye.wide
    closed = min(max(eye.blink, 0.0), 1.0)
    upper += (MEET - upper) * closed
    lower += (MEET - lower) * closed
    return max(upper, lower), lower


def gaze(eye: EyeWeights, side: float) -> Numbers:
    """The eyeball's rotation `[4]` wxyz; `side` is 1 for the character's left eye."""
    pitch = _LOOK_UP * (eye.down - eye.up)
    yaw = side * _LOOK_SIDE * (eye.outwards - eye.inwards)
    turn = rotation.exp(np.array([0.0, yaw, 0.0], np.float32))
    return rotation.multiply(turn, rotation.exp(np.array([pitch, 0.0, 0.0], np.float32)))


def about_x(angle: float) -> Numbers:
    """The rotation `[4]` that raises the straight-ahead direction by `angle`."""
    return rotation.exp(np.array([-angle, 0.0, 0.0], np.float32))


def eyeball() -> Mesh:
    """The white."""
    return _shell(EYE_RADIUS, -1.4, 1.4, 14)


def disc(angle: float, lift: float) -> Mesh:
    """A round patch of the eyeball, `angle` wide, standing out by `lift` metres: iris, pupil."""
    polar = np.linspace(1e-3, angle, 3)[:, None]
    around = np.linspace(0.0, 2 * np.pi, 20, endpoint=False)
    radius = EYE_RADIUS + lift
    points = radius * np.stack(
        [
            np.sin(polar) * np.cos(around),
            np.sin(polar) * np.sin(around),
            np.cos(polar) + 0 * around,
        ],
        -1,
    )
    faces = grid_faces(3, 20, closed=True)[:, ::-1].copy()
    return Mesh(points.reshape(-1, 3).astype(np.float32), faces)


def upper_lid() -> Mesh:
    """The upper lid with its edge straight ahead (angle 0), reaching up and back."""
    return _shell(_LID_RADIUS, 0.0, 2.2, 9)


def lower_lid() -> Mesh:
    """The lower lid with its edge straight ahead (angle 0), reaching down and back."""
    return _shell(_LID_RADIUS, -2.2, 0.0, 9)


def lash() -> Mesh:
    """The dark line along the edge of a lid at angle 0."""
    side = np.linspace(-1.30, 1.30, 17)
    radius = _LID_RADIUS * 1.01
    centres = radius * np.stack([np.sin(side), 0 * side, np.cos(side)], 1)
    thick = 0.0012 * np.sqrt(np.cos(side))[:, None]
    outward = centres / radius
    upward = np.tile([0.0, 1.0, 0.0], (len(side), 1))
    return tube(centres, upward * thick, outward * thick, segments=8)


def _shell(radius: float, low: float, high: float, rows: int) -> Mesh:
    """The part of a sphere between two angles about the x axis."""
    lift = np.linspace(low, high, rows)[:, None]
    side = np.linspace(-1.56, 1.56, 17)
    points = radius * np.stack(
        [np.sin(side) + 0 * lift, np.cos(side) * np.sin(lift), np.cos(side) * np.cos(lift)], -1
    )
    faces = grid_faces(rows, 17, closed=False)
    return Mesh(points.reshape(-1, 3).astype(np.float32), faces)
