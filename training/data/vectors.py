"""Conversion of a Motion to the vectors of the networks: 337 channels, or one vector per part.

Velocities are forward differences: position t is position t - 1 plus velocity t - 1 over the frame
rate (as in the published motion vectors), so the first frame needs a starting position.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.motion.channels import MOTION, joint_channels, part_layout
from engine.motion.pose import Motion
from engine.motion.rotation import to_sixd
from engine.motion.skeleton import PART_JOINTS, BodyPart

FloatArray = NDArray[np.float32]


def local_translation(translation: FloatArray, fps: float) -> FloatArray:
    """Convert positions `[T, 3]` (m) to (x velocity m/s, height m, z velocity m/s) `[T, 3]`."""
    velocity = np.diff(translation, axis=0, append=translation[-1:]) * fps
    return np.stack([velocity[:, 0], translation[:, 1], velocity[:, 2]], -1).astype(np.float32)


def world_translation(local: FloatArray, fps: float, start: FloatArray | None = None) -> FloatArray:
    """Inverse of `local_translation`; start: x and z of the first frame, by default 0."""
    steps = local[:, [0, 2]] / fps
    plane = np.cumsum(steps, axis=0) - steps + (0.0 if start is None else start)
    return np.stack([plane[:, 0], local[:, 1], plane[:, 1]], -1).astype(np.float32)


def motion_vector(motion: Motion) -> FloatArray:
    """Motion vectors `[T, 337]` of a motion."""
    poses, fps = motion.poses, motion.format.clock.frame_rate
    packed: FloatArray = MOTION.pack(
        {
            "rot6d": to_sixd(poses.rotations).reshape(len(motion), -1),
            "translation": local_translation(poses.translation, fps),
            "contact": poses.contacts,
        }
    )
    return packed.astype(np.float32)


def part_vector(part: BodyPart, motion: Motion) -> FloatArray:
    """Vectors `[T, C]` of one part of a motion."""
    poses = motion.poses
    sixd = to_sixd(poses.rotations[:, list(PART_JOINTS[part])]).reshape(len(motion), -1)
    values = {"rot6d": sixd}
    if part is BodyPart.LOWER:
        fps = motion.format.clock.frame_rate
        values["translation"] = local_translation(poses.translation, fps)
        values["contact"] = poses.contacts
    if part is BodyPart.FACE:
        values["face"] = poses.face
    packed: FloatArray = part_layout(part, poses.face.shape[-1]).pack(values)
    return packed.astype(np.float32)


def join_parts(parts: Mapping[BodyPart, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Join the four parts to motion vectors `[T, 337]` and face coefficients; eyes at rest."""
    face_width = parts[BodyPart.FACE].shape[-1] - 6
    fields = {p: part_layout(p, face_width).unpack(parts[p]) for p in PART_JOINTS}
    frames = len(parts[BodyPart.FACE])
    rot6d = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), (frames, 55))
    for part, joints in PART_JOINTS.items():
        rot6d[:, joint_channels(joints)] = fields[part]["rot6d"]
    lower = fields[BodyPart.LOWER]
    vector: FloatArray = MOTION.pack(
        {"rot6d": rot6d, "translation": lower["translation"], "contact": lower["contact"]}
    )
    return vector, fields[BodyPart.FACE]["face"]
