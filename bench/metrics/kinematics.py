"""Joint positions, with and without root motion; speeds, and runs of frames."""

import numpy as np
from numpy.typing import NDArray

from engine.motion.pose import Motion
from engine.motion.rotation import forward_kinematics, identity
from engine.motion.skeleton import SMPLX_55

Floats = NDArray[np.float64]

WRISTS = [SMPLX_55.index(f"{side}_wrist") for side in ("left", "right")]


def world_positions(motion: Motion) -> Floats:
    """World positions `[T, J, 3]` in metres."""
    return motion.world_positions().astype(np.float64)


def positions_at_origin(motion: Motion) -> Floats:
    """Positions `[T, J, 3]` (m) with the translation set to zero, as in L1 diversity and BC."""
    skeleton, poses = motion.format.skeleton, motion.poses
    still = np.zeros_like(poses.translation)
    found, _ = forward_kinematics(skeleton.parents, skeleton.offsets, poses.rotations, still)
    return np.asarray(found, np.float64)


def positions_in_body(motion: Motion) -> Floats:
    """Positions `[T, J, 3]` (m) in the frame of the pelvis, without root motion."""
    skeleton, poses = motion.format.skeleton, motion.poses
    rotations = poses.rotations.copy()
    rotations[:, 0] = identity()
    still = np.zeros_like(poses.translation)
    found, _ = forward_kinematics(skeleton.parents, skeleton.offsets, rotations, still)
    return np.asarray(found - found[:, :1], np.float64)


def speeds(positions: Floats, fps: float) -> Floats:
    """Speeds `[T, J]` (m/s) by central differences, one-sided at the first and last frame."""
    return np.asarray(np.linalg.norm(np.gradient(positions, axis=0) * fps, axis=-1), np.float64)


def mean_length(vectors: Floats) -> float:
    """Mean length of vectors `[..., 3]`; 0 without any."""
    return float(np.linalg.norm(vectors, axis=-1).mean()) if vectors.size else 0.0


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First frame and end (exclusive) `[N, 2]` of each run of true frames in `mask` `[T]`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return edges.reshape(-1, 2)
