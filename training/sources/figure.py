"""Source-independent skeleton animation in world space, the input of the retargeter."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import ClipError
from engine.motion import rotation as rot

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """Skeleton with a rest pose and world poses over time.

    Attributes:
        names: names of the joints.
        parents: index of each joint's parent; -1 for the root.
        rest_positions: world positions at rest, `[J, 3]`, metres.
        rest_rotations: world rotations at rest, `[J, 4]`.
        rotations: world rotations, `[T, J, 4]`.
        positions: world positions, `[T, J, 3]`, metres; None if the source has no root position.
        frame_rate: frames/s.

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
        """Index of joint `name`; ClipError if it is missing."""
        if name not in self.names:
            raise ClipError(f"expected a joint {name!r}, this figure has {', '.join(self.names)}")
        return self.names.index(name)

    def turned(self, rest: FloatArray, motion: FloatArray) -> "Figure":
        """Rotate the rest pose by quaternion `rest` and all frames by `motion` (`[4]` each)."""
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
    """Forward kinematics: world positions `[T, J, 3]` and rotations `[T, J, 4]` of local ones.

    Unlike in the engine, local positions `[T, J, 3]` may vary over time.
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
