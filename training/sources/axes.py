"""Axis conversion: +Y up, the rest pose facing +Z with its left side on +X.

Rest pose and motion of a file may have different axes; each is converted separately. Rest poses in
which no figure could stand are rejected, because swings from them would be guesses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ClipError
from engine.motion import rotation as rot
from training.sources.figure import Figure
from training.sources.skeleton_map import SIDES, SkeletonMap

FloatArray = NDArray[np.float64]
_UP = np.array([0.0, 1.0, 0.0])
_FORWARD = np.array([0.0, 0.0, 1.0])
_ALONG = float(np.cos(np.radians(35.0)))  # maximum lean of an axis of the rest pose
_LEG, _ARM = 50.0, 115.0  # maximum angle of legs from down and of arms from sideways, degrees


@dataclass(frozen=True)
class Axes:
    """Conversion of a figure: quaternions applied to its rest pose and to its motion."""

    rest: FloatArray
    motion: FloatArray

    @property
    def turned(self) -> bool:
        """True unless both rotations are identity."""
        none = rot.identity().astype(np.float64)
        return bool(max(rot.angle(q, none) for q in (self.rest, self.motion)) > 1e-9)

    def __str__(self) -> str:
        none = rot.identity().astype(np.float64)
        rest, motion = (np.degrees(rot.angle(q, none)) for q in (self.rest, self.motion))
        return f"rest pose turned by {rest:.0f} degrees, motion by {motion:.0f}"


def to_project_axes(figure: Figure, skeleton: SkeletonMap) -> tuple[Figure, Axes]:
    """Convert a figure to the project's axes; ClipError if its rest pose does not stand."""
    motion = _upright(figure, skeleton)
    if skeleton.rest_frame is None:
        rest = _snap_to_axes(*_body_axes(figure, skeleton))
    else:
        rest = rot.multiply(_facing(*_body_axes(figure.turned(motion, motion), skeleton)), motion)
    figure = _turned(figure, Axes(rest, motion))
    _check_rest(figure, skeleton)
    axes = Axes(rest, motion)
    if skeleton.face_forward:
        yaw = _average_yaw(figure, skeleton)
        axes = Axes(rest, rot.multiply(yaw, motion))
        figure = _turned(figure, Axes(rot.identity().astype(np.float64), yaw))
    return figure, axes


def _turned(figure: Figure, axes: Axes) -> Figure:
    # Identity is skipped, because multiplying by it would change last bits.
    return figure.turned(axes.rest, axes.motion) if axes.turned else figure


def _place(figure: Figure, skeleton: SkeletonMap, joint: str) -> int:
    return figure.index(skeleton.joints[joint].place)


def _body_axes(figure: Figure, skeleton: SkeletonMap) -> tuple[FloatArray, FloatArray]:
    """Orthonormal up and left directions of the rest pose."""
    at = {
        name: figure.rest_positions[_place(figure, skeleton, name)]
        for name in ("head", *(f"{s}_{j}" for s in SIDES for j in ("shoulder", "hip", "ankle")))
    }
    feet = (at["left_ankle"] + at["right_ankle"]) / 2
    left = sum((at[f"left_{j}"] - at[f"right_{j}"] for j in ("shoulder", "hip")), np.zeros(3))
    up = rot.normalize(at["head"] - feet)
    return up, rot.normalize(left - (left * up).sum() * up)


def _snap_to_axes(up: FloatArray, left: FloatArray) -> FloatArray:
    """Rotation by multiples of 90 degrees that brings `up` to +Y and `left` to +X."""
    rows = np.stack([left, up, np.cross(left, up)])
    whole = np.round(rows)
    if (np.abs(whole).sum(1) != 1).any() or (rows * whole).sum(1).min() < _ALONG:
        raise ClipError(
            "expected a rest pose that stands upright along an axis, its head over its feet and "
            f"its left side apart from its right; up is {_shown(up)} and left {_shown(left)}. Give "
            "rest_frame, the frame of the file in which the figure stands with its arms out"
        )
    return np.asarray(rot.from_matrix(whole))


def _shown(x: FloatArray) -> str:
    return f"({', '.join(f'{value:.2f}' for value in x)})"


def _facing(up: FloatArray, left: FloatArray) -> FloatArray:
    """Rotation about +Y that brings `left` to +X."""
    del up
    yaw = np.arctan2(left[2], left[0])
    return np.asarray(rot.exp(np.array([0.0, yaw, 0.0])))


def _upright(figure: Figure, skeleton: SkeletonMap) -> FloatArray:
    """Rotation by multiples of 90 degrees that brings the mean up axis of the motion to +Y."""
    if figure.positions is None:
        return rot.identity().astype(np.float64)
    head, *feet = (
        figure.positions[:, _place(figure, skeleton, name)]
        for name in ("head", "left_ankle", "right_ankle")
    )
    up = rot.normalize((head - (feet[0] + feet[1]) / 2).mean(0))
    axis = int(np.abs(up).argmax())
    snapped = np.zeros(3)
    snapped[axis] = np.sign(up[axis])
    return np.asarray(rot.between(snapped, _UP))


def _average_yaw(figure: Figure, skeleton: SkeletonMap) -> FloatArray:
    """Rotation about +Y after which the pelvis faces +Z on average."""
    pelvis = figure.index(skeleton.joints["pelvis"].follow)
    still = rot.inverse(figure.rest_rotations[pelvis])
    turned = rot.multiply(figure.rotations[:, pelvis], np.broadcast_to(still, (len(figure), 4)))
    facing = rot.rotate(turned, np.broadcast_to(_FORWARD, (len(figure), 3)))
    yaw = np.arctan2(facing[:, 0].mean(), facing[:, 2].mean())
    return np.asarray(rot.exp(np.array([0.0, -yaw, 0.0])))


def _check_rest(figure: Figure, skeleton: SkeletonMap) -> None:
    """Reject rest poses whose legs do not point down or whose arms cross the body."""
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        out = np.array([sign, 0.0, 0.0])
        for joint, end, axis, most in (
            ("hip", "knee", -_UP, _LEG),
            ("knee", "ankle", -_UP, _LEG),
            ("shoulder", "elbow", out, _ARM),
            ("elbow", "wrist", out, _ARM),
        ):
            first, last = (
                figure.rest_positions[_place(figure, skeleton, f"{side}_{name}")]
                for name in (joint, end)
            )
            bone = rot.normalize(last - first)
            lean = float(np.degrees(np.arccos(np.clip((bone * axis).sum(), -1, 1))))
            if lean > most:
                raise ClipError(
                    f"expected a rest pose with legs down and arms out, down or forward; the bone "
                    f"{side}_{joint} points {lean:.0f} degrees away from there. Give rest_frame, "
                    "the frame of the file in which the figure stands with its arms out"
                )
