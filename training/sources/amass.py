"""AMASS motion files (.npz): SMPL-H with 52 joints or SMPL-X with 55, to `Motion`.

The joints are SMPL-X's, so nothing is retargeted. Body shapes (betas) are ignored: the neutral
skeleton replaces them. Hands are relative to a flat hand. +Z is up in most of these files.
"""

import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ClipError
from engine.motion import rotation as rot
from engine.motion.pose import Motion
from engine.motion.skeleton import SMPLX_55
from training.data.contacts import floor_height
from training.sources.leg_ik import FOOT_HEIGHT_M, make_motion
from training.sources.resample import frame_positions

FloatArray = NDArray[np.float64]
RATES = ("mocap_framerate", "mocap_frame_rate")
_WIDTHS = {156: tuple(range(22)) + tuple(range(25, 55)), 165: tuple(range(55))}
"""Joints of SMPLX_55 by number of values per frame."""
_MOST_DENOMINATOR = 1001  # 59.94 frames/s are 60000 / 1001
_UNREADABLE = (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile)


@dataclass(frozen=True)
class AmassClip:
    """Arrays of an AMASS file; ClipError for wrong shapes or values.

    Attributes:
        poses: rotation vectors, `[T, 156]` or `[T, 165]`, radians.
        trans: root translation, `[T, 3]`, metres.
        frame_rate: frames/s.
        betas: body shape, `[N]`.
        gender: body model.

    """

    poses: FloatArray
    trans: FloatArray
    frame_rate: Fraction
    betas: FloatArray
    gender: str

    def __post_init__(self) -> None:
        frames = len(self.poses) if self.poses.ndim == 2 else 0
        if not frames or self.poses.shape[1] not in _WIDTHS:
            raise ClipError(
                f"poses must be [T, 156] (SMPL-H) or [T, 165] (SMPL-X), got {[*self.poses.shape]}"
            )
        if self.trans.shape != (frames, 3):
            raise ClipError(f"trans must be [{frames}, 3], got {[*self.trans.shape]}")
        for name in ("poses", "trans"):
            good = np.isfinite(getattr(self, name)).all(1)
            if not good.all():
                raise ClipError(
                    f"{name} holds NaN or infinite values, first in frame {good.argmin()}"
                )
        if not 1 <= self.frame_rate <= 1000:
            raise ClipError(f"expected 1 to 1000 frames a second, got {float(self.frame_rate):g}")


def read_amass(path: Path) -> AmassClip:
    """Read the clip in `path`; ClipError if the file is invalid."""
    try:
        with np.load(path, allow_pickle=False) as file:
            rate = next((key for key in RATES if key in file), RATES[0])
            for key in ("poses", "trans", rate):
                if key not in file:
                    raise ClipError(f"expected the key {key!r} of AMASS, got {', '.join(file)}")
            return AmassClip(
                np.asarray(file["poses"], np.float64),
                np.asarray(file["trans"], np.float64),
                Fraction(float(file[rate])).limit_denominator(_MOST_DENOMINATOR),
                _optional(file, "betas", np.zeros(0)),
                str(_optional(file, "gender", np.array("unknown"))),
            )
    except ClipError as error:
        raise ClipError(f"{path}: {error}") from error
    except (*_UNREADABLE, AttributeError, OverflowError) as error:
        raise ClipError(f"cannot read {path} as a motion file of AMASS (.npz): {error}") from error


def _optional(file: Any, key: str, otherwise: NDArray[Any]) -> NDArray[Any]:
    """Read an optional array; the default if it is pickled, because pickles are not loaded."""
    try:
        return np.asarray(file[key]) if key in file else otherwise
    except ValueError:
        return otherwise


def to_motion(clip: AmassClip, frame_rate: int, *, face_forward: bool = True) -> Motion:
    """Convert to SMPL-X motion at `frame_rate`, feet on the floor, starting at the origin.

    face_forward: rotate the clip so that the figure faces +Z on average. Contacts are detected; the
    face is zero.
    """
    at = frame_positions(len(clip.poses), clip.frame_rate, frame_rate)
    joints = list(_WIDTHS[clip.poses.shape[1]])
    turned = at.slerp(rot.exp(clip.poses.reshape(len(clip.poses), -1, 3)))
    rotations = rot.identity(len(turned), 55).astype(np.float64)
    rotations[:, joints] = turned
    pelvis = SMPLX_55.offsets[0].astype(np.float64)
    place = at.linear(clip.trans) + pelvis
    turn = _upright(rotations[:, 0])
    if face_forward:
        facing = rot.rotate(
            rot.multiply(_broadcast(turn, rotations), rotations[:, 0]), _forward(rotations)
        )
        yaw = np.array([0.0, -np.arctan2(facing[:, 0].mean(), facing[:, 2].mean()), 0.0])
        turn = rot.multiply(rot.exp(yaw), turn)
    rotations[:, 0] = rot.multiply(_broadcast(turn, rotations), rotations[:, 0])
    translation = rot.rotate(_broadcast(turn, rotations), place) - pelvis
    positions, _ = rot.forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets.astype(np.float64), rotations, translation
    )
    translation[:, 1] += FOOT_HEIGHT_M - floor_height(positions.astype(np.float32))
    translation[:, [0, 2]] -= translation[0, [0, 2]]
    return make_motion(rotations, translation, frame_rate)


def _broadcast(turn: FloatArray, rotations: FloatArray) -> FloatArray:
    return np.broadcast_to(turn, (len(rotations), 4))


def _forward(rotations: FloatArray) -> FloatArray:
    return np.broadcast_to([0.0, 0.0, 1.0], (len(rotations), 3))


def _upright(root: FloatArray) -> FloatArray:
    """Rotation by multiples of 90 degrees that brings the mean up axis of the body to +Y."""
    up = rot.rotate(root, np.broadcast_to([0.0, 1.0, 0.0], (len(root), 3))).mean(0)
    axis = np.zeros(3)
    axis[np.abs(up).argmax()] = np.sign(up[np.abs(up).argmax()])
    return np.asarray(rot.between(axis, np.array([0.0, 1.0, 0.0])))
