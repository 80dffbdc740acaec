"""Hand penetration: wrists and fingers inside capsules around trunk, head and thighs.

The capsules come from the rest skeleton and are thin: a hand on the chest or thigh stays outside
(a recorded take has none inside), so that every penetration is one for any body shape.
"""

from dataclasses import dataclass

import numpy as np

from bench.metrics.kinematics import Floats
from engine.motion.rotation import forward_kinematics, identity
from engine.motion.skeleton import PART_JOINTS, BodyPart, Skeleton

_AXES = (
    # From, to, radius as a share of the shoulder width.
    ("pelvis", "spine3", 0.35),
    ("neck", "head", 0.30),
    ("left_hip", "left_knee", 0.24),
    ("right_hip", "right_knee", 0.24),
)
_HANDS = (20, 21, *PART_JOINTS[BodyPart.HANDS])
INSIDE_M = 0.005
"""Minimum depth of a hand that counts as inside the body."""


@dataclass(frozen=True)
class Capsule:
    """Points within `radius` (m) of the line between two joints."""

    start: int
    end: int
    radius: float


def capsules(skeleton: Skeleton) -> tuple[Capsule, ...]:
    """Capsules of a skeleton with the joint names of SMPL-X."""
    rest, _ = forward_kinematics(
        skeleton.parents,
        skeleton.offsets,
        identity(len(skeleton.parents)),
        np.zeros(3, np.float32),
    )
    sides = [rest[skeleton.index(f"{side}_shoulder")] for side in ("left", "right")]
    width = float(np.linalg.norm(sides[0] - sides[1]))
    return tuple(
        Capsule(skeleton.index(a), skeleton.index(b), share * width) for a, b, share in _AXES
    )


def depth(points: Floats, start: Floats, end: Floats, radius: float) -> Floats:
    """Depth (m) in a capsule, 0 outside; points `[..., P, 3]`, `start` and `end` `[..., 3]`."""
    axis = (end - start)[..., None, :]
    away = points - start[..., None, :]
    along = (away * axis).sum(-1) / np.maximum(np.square(axis).sum(-1), 1e-12)
    gap = np.linalg.norm(away - np.clip(along, 0.0, 1.0)[..., None] * axis, axis=-1)
    return np.asarray(np.maximum(radius - gap, 0.0), np.float64)


def hand_depths(positions: Floats, skeleton: Skeleton) -> Floats:
    """Depth (m) of the deepest hand joint in each frame `[T]` of positions `[T, J, 3]`."""
    hands = positions[:, list(_HANDS)]
    deepest = [
        depth(hands, positions[:, c.start], positions[:, c.end], c.radius).max(-1)
        for c in capsules(skeleton)
    ]
    return np.asarray(np.max(deepest, axis=0), np.float64)
