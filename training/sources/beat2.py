"""BEAT2 motion files: lossless reading and writing, and conversion from and to `Motion`.

A `Beat2Clip` holds the arrays exactly as on disk. Rotation vectors do not survive conversion to
quaternions and back bit by bit: use the clip to edit files and `to_motion` for rotations.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ClipError
from engine.motion.npz_clip import check_tracks, motion_of, read_arrays
from engine.motion.pose import Motion, PoseChunk
from training.data.contacts import foot_contacts

BETAS = 300
MODEL, GENDER = "smplx2020", "neutral"


@dataclass(frozen=True)
class Beat2Clip:
    """Arrays of one file in the file's order and types; ClipError for invalid ones.

    Attributes:
        betas: body shape, `[300]`.
        poses: rotation vectors of 55 joints, `[T, 165]`, radians.
        expressions: FLAME coefficients, `[T, 100]`.
        trans: root translation, `[T, 3]`, metres.
        model: name of the body model.
        gender: gender of the body model.
        mocap_frame_rate: frames/s.

    """

    betas: NDArray[Any]
    poses: NDArray[Any]
    expressions: NDArray[Any]
    trans: NDArray[Any]
    model: NDArray[Any]
    gender: NDArray[Any]
    mocap_frame_rate: NDArray[Any]

    def __post_init__(self) -> None:
        if not check_tracks(self.arrays()):
            raise ClipError("a clip needs at least one frame, this one is empty")
        for name, shape in (("expressions", (*self.poses.shape[:1], 100)), ("betas", (BETAS,))):
            if getattr(self, name).shape != shape:
                raise ClipError(
                    f"{name} must be {list(shape)}, got {list(getattr(self, name).shape)}"
                )
        if not (np.issubdtype(self.betas.dtype, np.number) and np.isfinite(self.betas).all()):
            raise ClipError("betas must hold finite numbers")
        if self.mocap_frame_rate.shape or self.model.shape or self.gender.shape:
            raise ClipError("model, gender and mocap_frame_rate must be single values")

    def __len__(self) -> int:
        return len(self.poses)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by key."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def read_beat2(path: Path) -> Beat2Clip:
    """Read the clip in `path`; ClipError if the file is invalid."""
    data = read_arrays(path)
    keys = [field.name for field in fields(Beat2Clip)]
    missing = [key for key in keys if key not in data]
    if missing:
        raise ClipError(
            f"{path}: expected the key {missing[0]!r} of BEAT2, got {', '.join(sorted(data))}"
        )
    try:
        return Beat2Clip(**{key: data[key] for key in keys})
    except ClipError as error:
        raise ClipError(f"{path}: {error}") from error


def to_motion(clip: Beat2Clip) -> Motion:
    """Convert to motion: float32, FLAME faces, hands relative to the SMPL-X mean hand.

    Contacts are detected by `training.data.contacts`, as the files have none.
    """
    motion = motion_of(clip.arrays())
    poses = motion.poses
    contacts = foot_contacts(motion.world_positions(), motion.format.clock.frame_rate)
    chunk = PoseChunk(0, poses.rotations, poses.translation, contacts, poses.face)
    return Motion(motion.format, chunk)
