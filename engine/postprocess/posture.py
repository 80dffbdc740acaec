"""Constant rotation offsets of trunk and head.

A network that selects likely codes settles in postures that are rare in its training data, such as
a chest that leans back and a lowered head. Constant offsets correct that. Legs are excluded because
feet would slide, arms because hands would reach elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

import numpy as np

from engine.config.serialize import require
from engine.motion.pose import PoseChunk
from engine.motion.skeleton import SMPLX_55
from engine.postprocess.joint_offsets import rotate_joints

JOINTS: Final = ("spine1", "spine2", "spine3", "neck", "head")
MAX_DEGREES: Final = 30.0


@dataclass(frozen=True)
class PostureConfig:
    """Constant rotation offsets of trunk and head.

    Attributes:
        offsets_deg: rotation vector of each joint by name, degrees, within 30, about the joint's
            own axes: positive X bends forward, Y turns left, Z tilts to the right shoulder.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"turns": "offsets_deg"}

    offsets_deg: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, angles in self.offsets_deg.items():
            require(name in JOINTS, "offsets_deg", f"of {', '.join(JOINTS)}", name)
            fits = all(abs(angle) <= MAX_DEGREES for angle in angles)
            require(fits, f"offsets_deg.{name}", f"within {MAX_DEGREES:g} degrees", angles)


class Posture:
    """Posture offsets of one stream; stateless."""

    def __init__(self, config: PostureConfig) -> None:
        self._joints = [SMPLX_55.index(name) for name in config.offsets_deg]
        self._vectors = np.radians(np.array([*config.offsets_deg.values()], float).reshape(-1, 3))

    def apply(self, chunk: PoseChunk) -> PoseChunk:
        """Return the chunk with the offsets applied."""
        if not self._joints:
            return chunk
        rotations = chunk.rotations.copy()
        rotate_joints(rotations, self._joints, self._vectors)
        return replace(chunk, rotations=rotations)
