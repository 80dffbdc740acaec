"""A moving skeleton of any source, in world poses: what the retargeter and the checks work on.

Knows nothing of files, nor of which joint is an elbow; that is `training.sources.skeleton_map`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import ClipError
from engine.motion import rotation as rot
from engine.motion.pose import Motion

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """Joints with their parents (-1 for the root), in a rest pose and over time.

    rest_positions `[J, 3]` and rest_rotations `[J, 4]`; rotations `[T, J, 4]` and positions
    `[T, J, 3]` in the world, metres. positions is None for a source that does not say where it is.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest_positions: FloatArray
    rest_rotations: FloatArray
    rotations: FloatArray
    positions: FloatArray | None
    frame_rate: int

    def __len__(self) -> int:
        return len(self.rotations)

    def index(self, name: str) -> int:
        """The index of joint `name`; ClipError for one that is not there."""
        if name not in self.names:
            raise ClipError(f"expected a joint {name!r}, this figure has {', '.join(self.names)}")
        return self.names.index(name)

    def turned(self, rest: FloatArray, motion: FloatArray) -> "Figure":
        """Its rest pose turned by quaternion `rest` and its frames by `motion` (`[4]` each)."""
        positions = self.positions
        return replace(
            self,
            rest_positions=rot.rotate(_like(rest, self.rest_positions), self.rest_positions),
            rest_rotations=rot.multiply(_like(rest, self.rest_rotations), self.rest_rotations),
            rotations=rot.multiply(_like(motion, self.rotations), self.rotations),
            positions=None
            if positions is None
            else rot.rotate(_like(motion, positions), positions),
        )


def _like(quaternion: FloatArray, array: FloatArray) -> FloatArray:
    return np.broadcast_to(quaternion, (*array.shape[:-1], 4))


def world_poses(
    parents: Sequence[int], rotations: FloatArray, positions: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """World positions `[T, J, 3]` and rotations `[T, J, 4]` of local ones.

    Unlike the engine's forward kinematics a joint's place may move: positions `[T, J, 3]`.
    """
    world, places = np.empty_like(rotations), np.empty_like(positions)
    for joint, parent in enumerate(parents):
        if parent < 0:
            world[:, joint], places[:, joint] = rotations[:, joint], positions[:, joint]
            continue
        above = world[:, parent]
        world[:, joint] = rot.multiply(above, rotations[:, joint])
        places[:, joint] = places[:, parent] + rot.rotate(above, positions[:, joint])
    return places, world


def figure_of_motion(motion: Motion) -> Figure:
    """A motion as a figure, its rest pose being that of its skeleton."""
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
