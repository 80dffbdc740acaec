"""Motion clips as named arrays: the keys of BEAT2 and additional ones, and their meaning.

BEAT2's keys are poses (rotation vectors), trans, expressions, betas, model, gender and
mocap_frame_rate. Additional keys are face_basis, hand_reference, contacts, flags, first_frame,
sample_rate and the skeleton; a file without them is read by BEAT2's conventions (FLAME faces, hands
relative to the SMPL-X mean).
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.clock import FrameClock
from engine.errors import ClipError, GestureError
from engine.motion.face_basis import FLAME_100, face_basis
from engine.motion.pose import FrameFlag, HandReference, Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp
from engine.motion.skeleton import SMPLX_55, Skeleton

Arrays = Mapping[str, NDArray[Any]]

TRACKS: Final = ("poses", "trans", "expressions")
"""The arrays with a row for each frame that every clip has."""
_CONTACTS: Final = 4
# Exceptions of numpy and zipfile for damaged or foreign files.
_UNREADABLE: Final = (
    *(OSError, EOFError, KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile),
)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file; pickles are refused; ClipError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (*_UNREADABLE, AttributeError) as error:
        raise ClipError(
            f"cannot read {path} as a motion clip (.npz with the keys of BEAT2): {error}"
        ) from error


def check_tracks(data: Arrays) -> int:
    """The number of frames; ClipError for a key that is missing or misshapen, and for NaN."""
    for key in (*TRACKS, "mocap_frame_rate"):
        if key not in data:
            raise ClipError(f"expected the key {key!r} of a clip, got {', '.join(sorted(data))}")
    frames = len(data["poses"]) if data["poses"].ndim else 0
    widths = {"poses": 3 * len(SMPLX_55.joint_names), "trans": 3, "expressions": None}
    for key, width in widths.items():
        shape = data[key].shape
        if len(shape) != 2 or shape[0] != frames or width not in (None, shape[1]):
            expected = "E" if width is None else width
            raise ClipError(f"{key} must be [{frames}, {expected}], got {list(shape)}")
        if not np.issubdtype(data[key].dtype, np.floating):
            raise ClipError(f"{key} must hold floating-point numbers, got {data[key].dtype}")
        if not np.isfinite(data[key]).all():
            bad = int(np.argmin(np.isfinite(data[key]).all(1)))
            raise ClipError(f"{key} holds NaN or infinite values, first in frame {bad}")
    return frames


def motion_of(data: Arrays) -> Motion:
    """A Motion from arrays by key; ClipError names the fault."""
    frames = check_tracks(data)
    try:
        return _motion(data, frames)
    except (*_UNREADABLE, GestureError) as error:
        raise ClipError(f"not a motion clip that can be used: {error}") from error


def _motion(data: Arrays, frames: int) -> Motion:
    # In double precision: rotation vectors of single precision are then exact to a bit or two.
    rotvecs = data["poses"].astype(np.float64).reshape(frames, len(SMPLX_55.joint_names), 3)
    fmt = PoseFormat(
        skeleton=_skeleton(data),
        clock=FrameClock(int(data.get("sample_rate", 16000)), _frame_rate(data)),
        face=face_basis(str(data.get("face_basis", FLAME_100.name))),
        hand_reference=HandReference(str(data.get("hand_reference", HandReference.SMPLX_MEAN))),
        hop=int(data["hop"]) if "hop" in data else None,
    )
    poses = PoseChunk(
        first=int(data.get("first_frame", 0)),
        rotations=exp(rotvecs).astype(np.float32),
        translation=data["trans"].astype(np.float32),
        contacts=data.get("contacts", np.zeros((frames, _CONTACTS))).astype(np.float32),
        face=data["expressions"].astype(np.float32),
        flags=tuple(FrameFlag(int(flag)) for flag in data.get("flags", ())),
    )
    if poses.face.shape[1] != fmt.face.width:
        raise ClipError(
            f"face basis {fmt.face.name} has {fmt.face.width} coefficients, the clip has "
            f"{poses.face.shape[1]}"
        )
    return Motion(fmt, poses)


def _frame_rate(data: Arrays) -> int:
    rate = float(data["mocap_frame_rate"])
    if not rate.is_integer():
        raise ClipError(f"expected a whole number of frames a second, got {rate:g}")
    return int(rate)


def _skeleton(data: Arrays) -> Skeleton:
    if "joint_names" not in data:
        return SMPLX_55
    return Skeleton(
        tuple(str(name) for name in data["joint_names"]),
        tuple(int(parent) for parent in data["parents"]),
        tuple((float(x), float(y), float(z)) for x, y, z in data["rest_offsets"]),
    )
