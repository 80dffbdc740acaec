"""BVH files as figures and figures as BVH files: units, rest poses, resampling.

A position channel gives where the joint is from its parent and replaces its OFFSET, as nearly all
writers mean it. The rest pose is that of zero channels, or a frame of the file where the zero pose
is no pose at all. End Sites become joints called `NAME end`.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from engine.errors import ClipError, ConfigError
from engine.motion import rotation as rot
from training.sources.bvh import CHANNELS, Bvh, BvhTree
from training.sources.euler import from_euler, to_euler
from training.sources.figure import Figure, world_poses
from training.sources.resample import frame_positions

FloatArray = NDArray[np.float64]

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
"""Metres in a unit."""
_TALL_M = (1.0, 2.2)  # from the ankles or toes to the head, of a child and of a tall man
_USUAL_M = 1.65
END = " end"


@dataclass(frozen=True)
class Unit:
    """metres: what one of the file is; why: how that is known, for a report."""

    metres: float
    why: str


def unit_of(tree: BvhTree, unit: str = "auto") -> Unit:
    """The unit of a file: as told, or guessed from the height of its rest pose."""
    if unit != "auto":
        if unit not in UNITS:
            raise ConfigError(f"unknown unit {unit!r}; expected auto or one of {', '.join(UNITS)}")
        return Unit(UNITS[unit], f"{unit}, as told")
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
    """The figure of a file at `frame_rate`, and the file's unit.

    rest_frame: the frame of the file in which the figure is at rest; none: all channels zero.
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
    """World positions `[J, 3]` and rotations `[J, 4]` of zero channels, the root at its OFFSET."""
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
    """The figure with its End Sites as joints, those that are somewhere else than their joint."""
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


def bvh_of(figure: Figure, order: str = "ZXY", unit: str = "cm") -> Bvh:
    """A file of a figure: zero channels are its rest pose, with all axes along the world's.

    A joint that moves away from its parent is written where it is at rest; only the root travels.
    """
    scale = 1.0 / UNITS[unit]
    parents = np.asarray(figure.parents)
    turned = rot.multiply(
        figure.rotations,
        np.broadcast_to(rot.inverse(figure.rest_rotations), figure.rotations.shape),
    )
    # The root, whose parent is -1, is relative to the world.
    above = rot.inverse(turned[:, parents])
    above[:, parents < 0] = rot.identity()
    local = rot.multiply(above, turned)
    offsets = figure.rest_positions - np.where(
        (parents < 0)[:, None], 0.0, figure.rest_positions[parents]
    )
    travel = figure.rest_positions[None, 0] if figure.positions is None else figure.positions[:, 0]
    values = np.concatenate(
        [
            np.broadcast_to(travel * scale, (len(figure), 3)),
            to_euler(local, order).reshape(len(figure), -1),
        ],
        1,
    )
    turns = tuple(f"{axis}rotation" for axis in order)
    channels = tuple(CHANNELS[:3] + turns if j == 0 else turns for j in range(len(figure.names)))
    tree = BvhTree(figure.names, figure.parents, offsets * scale, channels, {})
    return Bvh(tree, Fraction(figure.frame_rate), values)
