"""Metrics of retargeted motion, for detecting broken results.

`measure` examines a motion alone: hands inside the body, palm directions, feet below the floor,
hyperextended elbows and knees. `compare` compares it with its source figure: directions of bones
and palms, positions of the hands.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.motion import rotation as rot
from engine.motion.pose import Motion
from engine.motion.skeleton import CONTACT_JOINTS, SMPLX_55
from training.sources.axes import to_project_axes
from training.sources.figure import Figure
from training.sources.skeleton_map import FINGERS, SIDES, SkeletonMap

FloatArray = NDArray[np.float64]

# Capsules around SMPL-X's bones: first joint, second joint, radius in metres. They are thin, so
# that a hand resting on chest or thigh does not count.
_BODY = (
    ("pelvis", "spine3", 0.09),
    ("spine3", "neck", 0.08),
    ("neck", "head", 0.05),
    ("left_hip", "left_knee", 0.06),
    ("right_hip", "right_knee", 0.06),
)
_SKULL_M = (0.09, 0.085)  # height of the skull's centre above the joint `head`, and its radius
_HINGES = (("elbow", "wrist", 1.0), ("knee", "ankle", -1.0))  # sign of the bend along z
_STRAIGHT_DEG = 8.0  # smaller hyperextension counts as straight


@dataclass(frozen=True)
class MotionMetrics:
    """Metrics of one motion.

    Attributes:
        hand_to_body_m: minimum distance of a hand from the surface, by side; negative inside.
        inside_share: share of frames with the hand inside, by side.
        palm: mean palm direction (right, up, forward in the pelvis' axes), by side.
        lowest_foot_m: height of the lowest foot joint over time (minimum, median, maximum).
        bent_back_deg: maximum hyperextension by joint, degrees.
        bent_back_share: share of frames with hyperextension, by joint.

    """

    hand_to_body_m: dict[str, float]
    inside_share: dict[str, float]
    palm: dict[str, tuple[float, float, float]]
    lowest_foot_m: tuple[float, float, float]
    bent_back_deg: dict[str, float]
    bent_back_share: dict[str, float]

    def lines(self) -> list[str]:
        """The numbers as a report."""
        return [f"{key}: {_shown(value)}" for key, value in asdict(self).items()]


@dataclass(frozen=True)
class SourceDifferences:
    """Differences between a motion and its source: (mean, maximum) over time.

    Attributes:
        bone_deg: angle between bones by joint, degrees.
        palm_deg: angle between palm normals by side, degrees.
        hand_of_arm: distance between wrist positions relative to the chest by side, arm lengths.

    """

    bone_deg: dict[str, tuple[float, float]]
    palm_deg: dict[str, tuple[float, float]]
    hand_of_arm: dict[str, tuple[float, float]]

    def lines(self) -> list[str]:
        """The numbers as a report."""
        return [f"{key}: {_shown(value)}" for key, value in asdict(self).items()]


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(entry)}" for key, entry in value.items())
    if isinstance(value, tuple):
        return f"({' '.join(_shown(entry) for entry in value)})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


_SHARE = 0.2  # tolerated share of frames: gestures may touch the body, elbows may hyperextend
_SUNK_M = 0.15


def find_defects(numbers: MotionMetrics) -> list[str]:
    """Describe metrics that indicate a wrong rest pose or a wrong skeleton map."""
    found = [
        f"{joint.replace('_', ' ')} bends the wrong way in {share:.0%} of the frames, by up to "
        f"{numbers.bent_back_deg[joint]:.0f} degrees; is the rest pose the right one?"
        for joint, share in numbers.bent_back_share.items()
        if share > _SHARE
    ]
    found += [
        f"the {side} hand is inside of the body in {share:.0%} of the frames"
        for side, share in numbers.inside_share.items()
        if share > _SHARE
    ]
    if numbers.lowest_foot_m[0] < -_SUNK_M:
        found.append(f"a foot sinks to {numbers.lowest_foot_m[0]:.2f} m under the floor")
    return found


def palm_normals(points: Mapping[str, FloatArray], side: str) -> FloatArray:
    """Palm normals `[T, 3]` from positions `[T, 3]` of wrist and knuckles by SMPL-X name."""
    wrist, index, little = (points[f"{side}_{name}"] for name in ("wrist", "index1", "pinky1"))
    normal = np.cross(index - wrist, little - wrist)
    return np.asarray(rot.normalize(-normal if side == "left" else normal))


def measure(motion: Motion) -> MotionMetrics:
    """Compute the metrics of one motion on the SMPL-X skeleton."""
    positions = motion.world_positions().astype(np.float64)
    points = {name: positions[:, j] for j, name in enumerate(SMPLX_55.joint_names)}
    rotations = motion.poses.rotations.astype(np.float64)
    depth = {side: _clearance(points, side) for side in SIDES}
    pelvis = rot.inverse(rotations[:, 0])
    palms = {side: rot.rotate(pelvis, palm_normals(points, side)).mean(0) for side in SIDES}
    feet = positions[:, list(CONTACT_JOINTS), 1].min(1)
    back = {
        f"{side}_{joint}": _bent_back(rotations, side, joint, end, sign)
        for side in SIDES
        for joint, end, sign in _HINGES
    }
    return MotionMetrics(
        {side: float(d.min()) for side, d in depth.items()},
        {side: float((d < 0).mean()) for side, d in depth.items()},
        {side: (-float(p[0]), float(p[1]), float(p[2])) for side, p in palms.items()},
        (float(feet.min()), float(np.median(feet)), float(feet.max())),
        {joint: float(angle.max()) for joint, angle in back.items()},
        {joint: float((angle > 0).mean()) for joint, angle in back.items()},
    )


def _clearance(points: Mapping[str, FloatArray], side: str) -> FloatArray:
    """Distance `[T]` of a hand's nearest joint from the body's surface, metres."""
    names = [f"{side}_{finger}{i}" for finger in FINGERS for i in (1, 2, 3)]
    hand = np.stack([points[f"{side}_wrist"], *(points[name] for name in names)], 1)
    distances = [
        _to_segment(hand, points[first], points[last]) - radius for first, last, radius in _BODY
    ]
    height, radius = _SKULL_M
    skull = points["head"] + height * rot.normalize(points["head"] - points["neck"])
    distances.append(np.linalg.norm(hand - skull[:, None], axis=-1) - radius)
    return np.asarray(np.min(distances, axis=(0, 2)))


def _to_segment(points: FloatArray, first: FloatArray, last: FloatArray) -> FloatArray:
    """Distance `[T, N]` of points `[T, N, 3]` from the segment `first` to `last` (`[T, 3]`)."""
    along = (last - first)[:, None]
    share = ((points - first[:, None]) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
    nearest = first[:, None] + np.clip(share, 0, 1)[..., None] * along
    return np.asarray(np.linalg.norm(points - nearest, axis=-1))


def _bent_back(rotations: FloatArray, side: str, joint: str, end: str, sign: float) -> FloatArray:
    """Hyperextension `[T]` of a hinge, degrees; 0 for none.

    An elbow bends the forearm forwards (+z in the upper arm's axes), a knee the shin backwards.
    """
    middle, last = SMPLX_55.index(f"{side}_{joint}"), SMPLX_55.index(f"{side}_{end}")
    upper = rot.normalize(SMPLX_55.offsets[middle].astype(np.float64))
    lower = rot.rotate(
        rotations[:, middle],
        np.broadcast_to(
            rot.normalize(SMPLX_55.offsets[last].astype(np.float64)), (len(rotations), 3)
        ),
    )
    forward = rot.normalize(np.array([0.0, 0.0, 1.0]) - upper[2] * upper)
    back = np.degrees(np.arcsin(np.clip(-sign * (lower * forward).sum(-1), -1, 1)))
    return np.where(back > _STRAIGHT_DEG, back, 0.0)


def compare(figure: Figure, skeleton: SkeletonMap, motion: Motion) -> SourceDifferences:
    """Compare a motion with its source figure frame by frame; the figure needs positions."""
    skeleton = skeleton.within(figure.names)
    figure, _ = to_project_axes(figure, skeleton)
    assert figure.positions is not None
    theirs = {j: figure.positions[:, figure.index(f.place)] for j, f in skeleton.joints.items()}
    positions = motion.world_positions().astype(np.float64)
    ours = {name: positions[:, SMPLX_55.index(name)] for name in theirs}
    bones = [bone for bone in _bones() if set(bone) <= set(theirs)]
    handed = [s for s in SIDES if f"{s}_index1" in theirs and f"{s}_pinky1" in theirs]
    return SourceDifferences(
        {
            first: _spread(_angle(theirs[last] - theirs[first], ours[last] - ours[first]))
            for first, last in bones
        },
        {s: _spread(_angle(palm_normals(theirs, s), palm_normals(ours, s))) for s in handed},
        {s: _spread(np.linalg.norm(_reach(theirs, s) - _reach(ours, s), axis=-1)) for s in SIDES},
    )


def _bones() -> list[tuple[str, str]]:
    limbs = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
    fingers = [(f"{finger}{i}", f"{finger}{i + 1}") for finger in FINGERS for i in (1, 2)]
    return [
        (f"{side}_{first}", f"{side}_{last}")
        for side in SIDES
        for first, last in [*limbs, ("wrist", "middle1"), *fingers]
    ]


def _reach(points: Mapping[str, FloatArray], side: str) -> FloatArray:
    """Vector from the midpoint of the shoulders to the wrist, arm lengths."""
    middle = (points["left_shoulder"] + points["right_shoulder"]) / 2
    arm = [points[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist")]
    length = sum(np.linalg.norm(b - a, axis=-1).mean() for a, b in pairwise(arm))
    return (arm[2] - middle) / length


def _angle(a: FloatArray, b: FloatArray) -> FloatArray:
    dot = (rot.normalize(a) * rot.normalize(b)).sum(-1)
    return np.asarray(np.degrees(np.arccos(np.clip(dot, -1, 1))))


def _spread(values: FloatArray) -> tuple[float, float]:
    return float(values.mean()), float(values.max())
