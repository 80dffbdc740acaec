"""What the measures are taken from: places of joints, with and without the body's own way."""

import numpy as np
from numpy.typing import NDArray

from engine.motion.pose import Motion
from engine.motion.rotation import forward_kinematics, identity

Floats = NDArray[np.float64]


def places(motion: Motion) -> Floats:
    """World positions `[T, J, 3]` in metres."""
    return motion.world_positions().astype(np.float64)


def places_in_place(motion: Motion) -> Floats:
    """Positions `[T, J, 3]` with the translation set to zero, as L1 diversity and BC want them."""
    skeleton, poses = motion.format.skeleton, motion.poses
    still = np.zeros_like(poses.translation)
    found, _ = forward_kinematics(skeleton.parents, skeleton.offsets, poses.rotations, still)
    return np.asarray(found, np.float64)


def places_in_body(motion: Motion) -> Floats:
    """Positions `[T, J, 3]` as the pelvis sees them: neither way nor turn of the whole body."""
    skeleton, poses = motion.format.skeleton, motion.poses
    rotations = poses.rotations.copy()
    rotations[:, 0] = identity()
    still = np.zeros_like(poses.translation)
    found, _ = forward_kinematics(skeleton.parents, skeleton.offsets, rotations, still)
    return np.asarray(found - found[:, :1], np.float64)


def speeds(positions: Floats, fps: float) -> Floats:
    """Speeds `[T, J]` (m/s) by central differences, one-sided at both ends."""
    return np.asarray(np.linalg.norm(np.gradient(positions, axis=0) * fps, axis=-1), np.float64)


def mean_length(vectors: Floats) -> float:
    """Mean length of vectors `[..., 3]`; 0 for none."""
    return float(np.linalg.norm(vectors, axis=-1).mean()) if vectors.size else 0.0
