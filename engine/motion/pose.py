"""Poses: the output of the engine, one frame at a time or a whole clip.

Conventions, stated here and used everywhere: SMPL-X joints by name; local rotations relative to the
parent as unit quaternions wxyz; right-handed, +Y up, the character faces +Z; metres, seconds; 30
frames a second unless the format says otherwise. Time is an integer: frames and samples since the
stream began.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.clock import FrameClock
from engine.errors import ShapeError
from engine.motion.face_basis import ARKIT_51, FaceBasis
from engine.motion.rotation import forward_kinematics
from engine.motion.skeleton import SMPLX_55, Skeleton

FloatArray: TypeAlias = NDArray[np.float32]


class HandReference(StrEnum):
    """Reference of finger rotations."""

    FLAT = "flat"
    SMPLX_MEAN = "smplx_mean"


class FrameFlag(IntFlag):
    """States of a frame for receivers."""

    NONE = 0
    HELD = 1  # not ready in time: the previous pose was repeated or eased towards idle
    IDLE = 2  # the voice gate is closed


@dataclass(frozen=True)
class PoseFormat:
    """Description of a stream that a receiver needs before the first frame.

    hop: frames that the model computes in one step; None if that is not known.
    """

    skeleton: Skeleton = SMPLX_55
    clock: FrameClock = field(default_factory=FrameClock)
    face: FaceBasis = ARKIT_51
    hand_reference: HandReference = HandReference.FLAT
    hop: int | None = None


@dataclass(frozen=True)
class PoseFrame:
    """One frame. `index` counts frames of `PoseFormat.clock`; `sample` is its first audio sample.

    rotations `[J, 4]` local wxyz, translation `[3]` metres, contacts `[4]` 0..1, face `[E]`.
    """

    index: int
    sample: int
    rotations: FloatArray
    translation: FloatArray
    contacts: FloatArray
    face: FloatArray
    flags: FrameFlag = FrameFlag.NONE


@dataclass(frozen=True)
class PoseChunk:
    """T successive frames beginning at frame `first`.

    rotations `[T, J, 4]`, translation `[T, 3]`, contacts `[T, 4]`, face `[T, E]`, all float32.
    """

    first: int
    rotations: FloatArray
    translation: FloatArray
    contacts: FloatArray
    face: FloatArray
    flags: tuple[FrameFlag, ...] = ()

    def __post_init__(self) -> None:
        frames = self.rotations.shape[0]
        expected = {"translation": (frames, 3), "contacts": (frames, 4)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ShapeError(f"{name} must be {shape}, got {getattr(self, name).shape}")
        if self.rotations.ndim != 3 or self.rotations.shape[2] != 4:
            raise ShapeError(f"rotations must be [T, J, 4], got {self.rotations.shape}")
        if self.face.ndim != 2 or self.face.shape[0] != frames:
            raise ShapeError(f"face must be [{frames}, E], got {self.face.shape}")
        if self.flags and len(self.flags) != frames:
            raise ShapeError(f"flags must be empty or {frames} long, got {len(self.flags)}")

    def __len__(self) -> int:
        return int(self.rotations.shape[0])

    def before(self, frame: int) -> "PoseChunk | None":
        """The part before frame `frame`; None if there is none."""
        keep = min(len(self), frame - self.first)
        if keep <= 0:
            return None
        return PoseChunk(
            self.first,
            self.rotations[:keep],
            self.translation[:keep],
            self.contacts[:keep],
            self.face[:keep],
            self.flags[:keep],
        )

    def frames(self, clock: FrameClock) -> Iterator[PoseFrame]:
        """The frames one by one, each with its sample index by `clock`."""
        for t in range(len(self)):
            yield PoseFrame(
                index=self.first + t,
                sample=clock.first_sample(self.first + t),
                rotations=self.rotations[t],
                translation=self.translation[t],
                contacts=self.contacts[t],
                face=self.face[t],
                flags=self.flags[t] if self.flags else FrameFlag.NONE,
            )


@dataclass(frozen=True)
class Motion:
    """A whole clip: frames from the start of a stream and the format they are in."""

    format: PoseFormat
    poses: PoseChunk

    def __len__(self) -> int:
        return len(self.poses)

    def world_positions(self) -> FloatArray:
        """World joint positions `[T, J, 3]` in metres."""
        skeleton = self.format.skeleton
        positions, _ = forward_kinematics(
            skeleton.parents, skeleton.offsets, self.poses.rotations, self.poses.translation
        )
        return np.asarray(positions, np.float32)


def concatenate(chunks: list[PoseChunk]) -> PoseChunk:
    """Join at least one chunk, each beginning where the one before ends; ShapeError otherwise."""
    if not chunks:
        raise ShapeError("nothing to concatenate: expected at least one chunk")
    expected = chunks[0].first
    for chunk in chunks:
        if chunk.first != expected:
            raise ShapeError(f"expected a chunk beginning at frame {expected}, got {chunk.first}")
        expected += len(chunk)
    arrays = {
        name: np.concatenate([getattr(chunk, name) for chunk in chunks])
        for name in ("rotations", "translation", "contacts", "face")
    }
    flags = tuple(
        flag for chunk in chunks for flag in (chunk.flags or (FrameFlag.NONE,) * len(chunk))
    )
    return PoseChunk(chunks[0].first, flags=flags, **arrays)


class PoseSink(Protocol):
    """A receiver of frames: a file, a socket, a test. Raises ExportError only from `open`."""

    def open(self, fmt: PoseFormat) -> None:
        """Called once before the first frame."""
        ...

    def send(self, frame: PoseFrame) -> None:
        """Take one frame; must return at once and must not raise for a receiver's faults."""
        ...

    def close(self) -> None:
        """Finish: files complete, sockets closed. Safe to call twice."""
        ...
