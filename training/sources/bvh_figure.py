"""Conversion between BVH files and figures: units, rest poses, resampling.

A position channel replaces the joint's OFFSET from its parent, as nearly all writers mean it. The
rest pose has zero channels, or is a frame of the file if that pose is not usable. End Sites become
joints named `NAME end`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ClipError, ConfigError
from engine.motion import rotation as rot
from training.sources.bvh import Bvh, BvhTree
from training.sources.euler import from_euler
from training.sources.figure import Figure, world_poses
from training.sources.resample import frame_positions

FloatArray = NDArray[np.float64]

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
"""Metres per unit."""
_TALL_M = (1.0, 2.2)  # plausible height from ankles or toes to head
_USUAL_M = 1.65
END = " end"


@dataclass(frozen=True)
class Unit:
    """Unit of a file.

    Attributes:
        metres: metres per unit of the file.
        why: reason of the choice, for reports.

    """

    metres: float
    why: str


def unit_of(tree: BvhTree, unit: str = "auto") -> Unit:
    """Unit of a file: `unit`, or for auto a guess from the height of the rest pose."""
    if unit != "auto":
        if unit not in UNITS:
            raise ConfigError(f"unknown unit {unit!r}; expected auto or one of {', '.join(UNITS)}")
        return Unit(UNITS[unit], f"{unit}, as configured")
    rest, _ = _rest(tree)
    height = float(np.ptp(rest, axis=0).max())
    if not height > 0:
        raise ClipError("expected joints apart from one another, all offsets are zero")
    for name, metres in UNITS.items():
        if _TALL_M[0] <= height * metres <= _TALL_M[1]:
            return Unit(metres, f"{name}, guessed: {height:.4g} from end to end")
    return Unit(_USUAL_M / height, f"none known, {height:.4g} from end to end taken for 1.65 m")


def figure_of(
    bvh: Bvh, frame_rate: int, unit: str = "auto", rest_frame: int | None = None
) -> tuple[Figure, Unit]:
    """Convert a file to a figure at `frame_rate`; returns it and the file's unit.

    rest_frame: frame of the rest pose; None for the pose of zero channels.
    """
    scale = unit_of(bvh.tree, unit)
    at = frame_positions(len(bvh), bvh.frame_rate, frame_rate)
    rows = np.unique(np.concatenate([at.before, at.after]))
    at = at._replace(before=np.searchsorted(rows, at.before), after=np.searchsorted(rows, at.after))
    rotations, positions = _local(bvh.tree, bvh.values[rows])
    positions, rotations = world_poses(bvh.tree.parents, at.slerp(rotations), at.linear(positions))
    if rest_frame is None:
        rest = _rest(bvh.tree)
    elif 0 <= rest_frame < len(bvh):
        turns, offsets = _local(bvh.tree, bvh.values[rest_frame : rest_frame + 1])
        still = world_poses(bvh.tree.parents, turns, offsets)
        rest = still[0][0], still[1][0]
    else:
        raise ClipError(f"expected a rest frame of 0 to {len(bvh) - 1}, got {rest_frame}")
    figure = Figure(bvh.tree.names, bvh.tree.parents, *rest, rotations, positions, frame_rate)
    return _scaled(_with_ends(figure, bvh.tree), scale.metres), scale


def _rest(tree: BvhTree) -> tuple[FloatArray, FloatArray]:
    """World positions `[J, 3]` and rotations `[J, 4]` at zero channels, the root at its OFFSET."""
    none = rot.identity(1, len(tree.names)).astype(np.float64)
    positions, rotations = world_poses(tree.parents, none, tree.offsets[None])
    return positions[0], rotations[0]


def _local(tree: BvhTree, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Local rotations `[T, J, 4]` and positions `[T, J, 3]` of rows of values."""
    count = len(tree.names)
    rotations = rot.identity(len(values), count).astype(np.float64)
    positions = np.broadcast_to(tree.offsets, (len(values), count, 3)).copy()
    for joint in range(count):
        columns, order = tree.columns(joint, "rotation")
        if columns:
            rotations[:, joint] = from_euler(values[:, columns], order)
        columns, order = tree.columns(joint, "position")
        for column, axis in zip(columns, order, strict=True):
            positions[:, joint, "XYZ".index(axis)] = values[:, column]
    return rotations, positions


def _with_ends(figure: Figure, tree: BvhTree) -> Figure:
    """Add End Sites with an offset as joints."""
    ends = {j: np.asarray(end) for j, end in tree.ends.items() if np.linalg.norm(end) > 0}
    if not ends:
        return figure
    above = list(ends)
    names = tuple(f"{figure.names[j]}{END}" for j in above)
    offsets = np.stack(list(ends.values()))
    assert figure.positions is not None
    turned = rot.rotate(
        figure.rotations[:, above], np.broadcast_to(offsets, (len(figure), len(above), 3))
    )
    rest = figure.rest_positions[above] + rot.rotate(figure.rest_rotations[above], offsets)
    return Figure(
        figure.names + names,
        figure.parents + tuple(above),
        np.concatenate([figure.rest_positions, rest]),
        np.concatenate([figure.rest_rotations, figure.rest_rotations[above]]),
        np.concatenate([figure.rotations, figure.rotations[:, above]], 1),
        np.concatenate([figure.positions, figure.positions[:, above] + turned], 1),
        figure.frame_rate,
    )


def _scaled(figure: Figure, metres: float) -> Figure:
    figure.rest_positions[:] *= metres
    if figure.positions is not None:
        figure.positions[:] *= metres
    return figure
