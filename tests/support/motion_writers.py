"""Writers of foreign motion formats, for tests of their readers."""

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.motion import rotation as rot
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import HandReference, Motion
from engine.motion.rotation import log
from engine.motion.skeleton import SMPLX_55
from training.data.clips import write_arrays
from training.sources.beat2 import BETAS, GENDER, MODEL, Beat2Clip
from training.sources.bvh import CHANNELS, Bvh, BvhTree
from training.sources.bvh_figure import UNITS
from training.sources.euler import to_euler
from training.sources.figure import Figure


def figure_of_motion(motion: Motion) -> Figure:
    """Convert a motion to a figure; the rest pose is that of its skeleton."""
    skeleton, poses = motion.format.skeleton, motion.poses
    offsets = skeleton.offsets.astype(np.float64)
    none = rot.identity(len(skeleton.parents)).astype(np.float64)
    rest, rest_world = rot.forward_kinematics(skeleton.parents, offsets, none, np.zeros(3))
    positions, world = rot.forward_kinematics(
        skeleton.parents,
        offsets,
        poses.rotations.astype(np.float64),
        poses.translation.astype(np.float64),
    )
    return Figure(
        skeleton.joint_names,
        skeleton.parents,
        rest,
        rest_world,
        world,
        positions,
        motion.format.clock.frame_rate,
    )


def bvh_of(figure: Figure, order: str = "ZXY", unit: str = "cm") -> Bvh:
    """Convert a figure to a file whose zero channels are the rest pose, with world-aligned axes.

    Only the root has position channels; other joints keep their rest offsets.
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


def write_bvh(path: Path, bvh: Bvh) -> None:
    """Write `bvh` to `path` atomically, with six decimals."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in bvh_lines(bvh))
    os.replace(temporary, path)


def bvh_lines(bvh: Bvh) -> Iterator[str]:
    """Yield the lines of a file; joints are in depth-first order, whatever their order in `bvh`."""
    yield "HIERARCHY"
    yield from _joint_lines(bvh.tree, 0, 0)
    yield "MOTION"
    yield f"Frames: {len(bvh)}"
    yield f"Frame Time: {float(1 / bvh.frame_rate):.8f}"
    firsts = np.cumsum([0, *(len(names) for names in bvh.tree.channels)])
    columns = [c for j in _branches(bvh.tree, 0) for c in range(firsts[j], firsts[j + 1])]
    for row in bvh.values[:, columns]:
        yield " ".join(f"{value:.6f}" for value in row)


def _branches(tree: BvhTree, joint: int) -> Iterator[int]:
    """Yield a joint and its descendants, depth first."""
    yield joint
    for child, parent in enumerate(tree.parents):
        if parent == joint:
            yield from _branches(tree, child)


def _joint_lines(tree: BvhTree, joint: int, depth: int) -> Iterator[str]:
    outer, inner = "\t" * depth, "\t" * (depth + 1)
    yield f"{outer}{'JOINT' if depth else 'ROOT'} {tree.names[joint]}"
    yield f"{outer}{{"
    yield f"{inner}OFFSET {_three(tree.offsets[joint])}"
    channels = tree.channels[joint]
    yield f"{inner}CHANNELS {' '.join([str(len(channels)), *channels])}"
    children = [child for child, parent in enumerate(tree.parents) if parent == joint]
    for child in children:
        yield from _joint_lines(tree, child, depth + 1)
    if joint in tree.ends or not children:
        end = tree.ends.get(joint, (0.0, 0.0, 0.0))
        yield from (
            f"{inner}End Site",
            f"{inner}{{",
            f"{inner}\tOFFSET {_three(end)}",
            f"{inner}}}",
        )
    yield f"{outer}}}"


def write_beat2(path: Path, clip: Beat2Clip) -> None:
    """Write `clip` to `path` (.npz) atomically."""
    write_arrays(path, clip.arrays())


def from_motion(motion: Motion, betas: NDArray[Any] | None = None) -> Beat2Clip:
    """Convert a motion to a clip, with the neutral body shape unless `betas` `[300]` are given.

    ConfigError if skeleton, face or hand reference differ from BEAT2's.
    """
    fmt, poses = motion.format, motion.poses
    if fmt.skeleton.joint_names != SMPLX_55.joint_names:
        raise ConfigError("expected the 55 joints of SMPL-X; retarget the motion first")
    if fmt.face.name != FLAME_100.name or fmt.hand_reference is not HandReference.SMPLX_MEAN:
        raise ConfigError(
            f"BEAT2 has {FLAME_100.name} faces and hands relative to {HandReference.SMPLX_MEAN}, "
            f"this motion {fmt.face.name} and {fmt.hand_reference}; convert it first"
        )
    rotvecs = log(poses.rotations.astype(np.float64)).reshape(len(motion), -1)
    return Beat2Clip(
        betas=np.zeros(BETAS, np.float32) if betas is None else betas,
        poses=rotvecs.astype(np.float32),
        expressions=poses.face.astype(np.float64),
        trans=poses.translation.astype(np.float64),
        model=np.array(MODEL),
        gender=np.array(GENDER),
        mocap_frame_rate=np.array(fmt.clock.frame_rate, np.int32),
    )


def _three(x: Iterable[float]) -> str:
    return " ".join(f"{value:.6f}" for value in x)
