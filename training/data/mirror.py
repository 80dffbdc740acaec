"""Motion augmentation: left and right mirrored."""

from dataclasses import replace

import numpy as np

from engine.errors import ConfigError
from engine.motion.face_basis import FaceBasis
from engine.motion.pose import Motion, PoseChunk
from engine.motion.skeleton import CONTACT_JOINTS, Skeleton


def _other_joint(name: str) -> str:
    side, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


def _other_coefficient(name: str) -> str:
    if name.endswith("Left"):
        return name[:-4] + "Right"
    return name[:-5] + "Left" if name.endswith("Right") else name


def mirrored_joints(skeleton: Skeleton) -> list[int]:
    """Index of each joint's counterpart on the other side; its own for central joints."""
    return [skeleton.index(_other_joint(name)) for name in skeleton.joint_names]


def mirrored_coefficients(basis: FaceBasis) -> list[int]:
    """Index of each face coefficient's counterpart, by names that end in Left and Right.

    ConfigError for a basis without sides.
    """
    if not any(name.endswith("Left") for name in basis.coefficients):
        raise ConfigError(
            f"faces of {basis.name} cannot be mirrored, they have no left and right; set "
            "mirrored = false for this source"
        )
    return [basis.coefficients.index(_other_coefficient(name)) for name in basis.coefficients]


def mirror(motion: Motion) -> Motion:
    """The motion reflected at x = 0, with left and right swapped."""
    poses, skeleton = motion.poses, motion.format.skeleton
    joints = mirrored_joints(skeleton)
    feet = [CONTACT_JOINTS.index(joints[joint]) for joint in CONTACT_JOINTS]
    # A reflection at x = 0 reverses axis and direction: the y and z components change sign.
    sign = np.array([1.0, 1.0, -1.0, -1.0], np.float32)
    chunk = PoseChunk(
        poses.first,
        poses.rotations[:, joints] * sign,
        poses.translation * np.array([-1.0, 1.0, 1.0], np.float32),
        poses.contacts[:, feet],
        poses.face[:, mirrored_coefficients(motion.format.face)],
        poses.flags,
    )
    return replace(motion, poses=chunk)
