"""Skeletons: joint names, parents and rest offsets, and which joints make which body part.

A skeleton here is joints only. Meshes, skinning and body shapes are not its concern.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.motion.rotation import forward_kinematics, identity


class BodyPart(StrEnum):
    """The four parts with a VQ-VAE of their own (EMAGE section 4.1)."""

    FACE = "face"
    UPPER = "upper"
    HANDS = "hands"
    LOWER = "lower"


@dataclass(frozen=True)
class Skeleton:
    """A tree of named joints, parents before children.

    rest_offsets: metres from the parent in the rest pose; the root's is its rest position.
    """

    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    rest_offsets: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        count = len(self.joint_names)
        if not count == len(self.parents) == len(self.rest_offsets) > 0:
            raise ConfigError(
                f"a skeleton needs as many parents and offsets as names, got {count} names, "
                f"{len(self.parents)} parents and {len(self.rest_offsets)} offsets"
            )
        if len(set(self.joint_names)) != count:
            raise ConfigError("a skeleton's joint names must differ from one another")
        if self.parents[0] != -1 or any(not 0 <= p < j for j, p in enumerate(self.parents) if j):
            raise ConfigError("a skeleton's first joint is the root (-1) and parents come first")

    def index(self, name: str) -> int:
        """The index of joint `name`; raises ConfigError for an unknown one."""
        try:
            return self.joint_names.index(name)
        except ValueError:
            raise ConfigError(
                f"unknown joint {name!r}; this skeleton has {', '.join(self.joint_names)}"
            ) from None

    @cached_property
    def offsets(self) -> NDArray[np.float32]:
        """Rest offsets `[J, 3]` in metres."""
        return np.asarray(self.rest_offsets, np.float32)

    @cached_property
    def rest_height(self) -> float:
        """Height in metres of the root above the lowest joint in the rest pose."""
        positions, _ = forward_kinematics(
            self.parents, self.offsets, identity(len(self.parents)), np.zeros(3, np.float32)
        )
        return float(positions[0, 1] - positions[:, 1].min())


# Joint, parent, offset from the parent in metres (neutral shape, T-pose, rounded to 0.1 mm).
_SMPLX_JOINTS: tuple[tuple[str, str, tuple[float, float, float]], ...] = (
    ("pelvis", "", (0.0031, -0.3514, 0.0120)),
    ("left_hip", "pelvis", (0.0582, -0.0928, -0.0260)),
    ("right_hip", "pelvis", (-0.0633, -0.1039, -0.0213)),
    ("spine1", "pelvis", (-0.0028, 0.1099, -0.0276)),
    ("left_knee", "left_hip", (0.0547, -0.3788, -0.0094)),
    ("right_knee", "right_hip", (-0.0442, -0.3624, -0.0168)),
    ("spine2", "spine1", (0.0094, 0.1319, -0.0059)),
    ("left_ankle", "left_knee", (-0.0435, -0.4031, -0.0319)),
    ("right_ankle", "right_knee", (0.0154, -0.4107, -0.0202)),
    ("spine3", "spine2", (-0.0113, 0.0522, 0.0284)),
    ("left_foot", "left_ankle", (0.0473, -0.0580, 0.1182)),
    ("right_foot", "right_ankle", (-0.0388, -0.0583, 0.1190)),
    ("neck", "spine3", (-0.0122, 0.1652, -0.0316)),
    ("left_collar", "spine3", (0.0464, 0.0849, -0.0072)),
    ("right_collar", "spine3", (-0.0477, 0.0843, -0.0134)),
    ("head", "neck", (0.0248, 0.1605, 0.0207)),
    ("left_shoulder", "left_collar", (0.1192, 0.0577, -0.0155)),
    ("right_shoulder", "right_collar", (-0.1026, 0.0535, -0.0127)),
    ("left_elbow", "left_shoulder", (0.2541, -0.0722, -0.0425)),
    ("right_elbow", "right_shoulder", (-0.2711, -0.0365, -0.0265)),
    ("left_wrist", "left_elbow", (0.2520, 0.0232, -0.0025)),
    ("right_wrist", "right_elbow", (-0.2493, -0.0045, -0.0153)),
    ("jaw", "head", (-0.0158, -0.0005, -0.0056)),
    ("left_eye", "head", (0.0205, 0.0426, 0.0661)),
    ("right_eye", "head", (-0.0427, 0.0426, 0.0661)),
    ("left_index1", "left_wrist", (0.1019, -0.0087, 0.0194)),
    ("left_index2", "left_index1", (0.0319, 0.0022, 0.0030)),
    ("left_index3", "left_index2", (0.0225, -0.0024, 0.0001)),
    ("left_middle1", "left_wrist", (0.1094, -0.0063, -0.0040)),
    ("left_middle2", "left_middle1", (0.0306, 0.0008, -0.0040)),
    ("left_middle3", "left_middle2", (0.0235, -0.0020, -0.0041)),
    ("left_pinky1", "left_wrist", (0.0840, -0.0145, -0.0437)),
    ("left_pinky2", "left_pinky1", (0.0155, -0.0011, -0.0120)),
    ("left_pinky3", "left_pinky2", (0.0155, -0.0017, -0.0112)),
    ("left_ring1", "left_wrist", (0.0974, -0.0093, -0.0273)),
    ("left_ring2", "left_ring1", (0.0280, 0.0015, -0.0053)),
    ("left_ring3", "left_ring2", (0.0228, -0.0015, -0.0071)),
    ("left_thumb1", "left_wrist", (0.0406, -0.0180, 0.0256)),
    ("left_thumb2", "left_thumb1", (0.0170, 0.0010, 0.0250)),
    ("left_thumb3", "left_thumb2", (0.0205, -0.0052, 0.0155)),
    ("right_index1", "right_wrist", (-0.0999, -0.0118, 0.0196)),
    ("right_index2", "right_index1", (-0.0319, 0.0022, 0.0030)),
    ("right_index3", "right_index2", (-0.0225, -0.0023, 0.0001)),
    ("right_middle1", "right_wrist", (-0.1074, -0.0094, -0.0037)),
    ("right_middle2", "right_middle1", (-0.0306, 0.0008, -0.0040)),
    ("right_middle3", "right_middle2", (-0.0235, -0.0020, -0.0041)),
    ("right_pinky1", "right_wrist", (-0.0820, -0.0176, -0.0435)),
    ("right_pinky2", "right_pinky1", (-0.0155, -0.0011, -0.0120)),
    ("right_pinky3", "right_pinky2", (-0.0155, -0.0017, -0.0112)),
    ("right_ring1", "right_wrist", (-0.0954, -0.0124, -0.0271)),
    ("right_ring2", "right_ring1", (-0.0280, 0.0015, -0.0053)),
    ("right_ring3", "right_ring2", (-0.0228, -0.0015, -0.0071)),
    ("right_thumb1", "right_wrist", (-0.0386, -0.0211, 0.0259)),
    ("right_thumb2", "right_thumb1", (-0.0170, 0.0010, 0.0250)),
    ("right_thumb3", "right_thumb2", (-0.0205, -0.0052, 0.0155)),
)

_NAMES = tuple(name for name, _, _ in _SMPLX_JOINTS)

SMPLX_55 = Skeleton(
    joint_names=_NAMES,
    parents=tuple(_NAMES.index(parent) if parent else -1 for _, parent, _ in _SMPLX_JOINTS),
    rest_offsets=tuple(offset for _, _, offset in _SMPLX_JOINTS),
)

PART_JOINTS: dict[BodyPart, tuple[int, ...]] = {
    BodyPart.FACE: (22,),
    BodyPart.UPPER: (3, 6, 9, *range(12, 22)),
    BodyPart.HANDS: tuple(range(25, 55)),
    BodyPart.LOWER: (0, 1, 2, 4, 5, 7, 8, 10, 11),
}
"""Joint indices of SMPLX_55 by part. The eyes (23, 24) belong to none: they are never predicted."""

CONTACT_JOINTS: tuple[int, ...] = (7, 8, 10, 11)
"""left_ankle, right_ankle, left_foot, right_foot: the joints whose floor contact is predicted."""
