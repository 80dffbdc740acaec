"""Clips on disk: one motion with its metadata in an .npz file.

Keys: rotations `[T, 55, 4]` wxyz, translation `[T, 3]` m, contacts `[T, 4]`, face `[T, E]`, all
float32; fps; face_basis (default arkit51); hand_reference (default flat); meta (JSON). The skeleton
is SMPL-X.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.motion.face_basis import ARKIT_51, face_basis
from engine.motion.pose import HandReference, Motion, PoseChunk, PoseFormat
from engine.system.atomic import write_text

ARRAYS = ("rotations", "translation", "contacts", "face")


def clip_arrays(motion: Motion) -> dict[str, Any]:
    """Arrays of a motion by the key of a clip's file."""
    fmt = motion.format
    return {
        **{name: np.asarray(getattr(motion.poses, name), np.float32) for name in ARRAYS},
        "fps": fmt.clock.frame_rate,
        "face_basis": fmt.face.name,
        "hand_reference": str(fmt.hand_reference),
    }


def save_clip(path: Path, motion: Motion, meta: dict[str, Any]) -> None:
    """Write `motion` and `meta` to `path` (.npz) atomically."""
    write_arrays(path, {**clip_arrays(motion), "meta": json.dumps(meta)})


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write `arrays` to `path` (.npz) atomically."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(temporary, path)


def load_clip(path: Path) -> tuple[Motion, dict[str, Any]]:
    """Read motion and metadata from `path`; ConfigError if a key is missing."""
    with np.load(path, allow_pickle=False) as file:
        missing = [name for name in (*ARRAYS, "fps") if name not in file]
        if missing:
            raise ConfigError(
                f"{path}: expected the key {missing[0]!r} of a clip, it has {file.files}"
            )
        chunk = PoseChunk(0, **{name: file[name].astype(np.float32) for name in ARRAYS})
        meta = json.loads(str(file["meta"])) if "meta" in file else {}
        fmt = read_format(path, file)
    if chunk.face.shape[1] != fmt.face.width:
        raise ConfigError(
            f"{path}: expected {fmt.face.width} face coefficients of {fmt.face.name}, got "
            f"{chunk.face.shape[1]}"
        )
    return Motion(fmt, chunk), meta


def read_format(path: Path, file: Any) -> PoseFormat:
    """Read the format of a clip from its open file; ConfigError without a frame rate."""
    if "fps" not in file:
        raise ConfigError(f"{path}: expected the key 'fps' of a clip, it has {file.files}")
    return PoseFormat(
        clock=FrameClock(frame_rate=int(file["fps"])),
        face=face_basis(str(file["face_basis"])) if "face_basis" in file else ARKIT_51,
        hand_reference=HandReference(str(file["hand_reference"]))
        if "hand_reference" in file
        else HandReference.FLAT,
    )


def write_json(path: Path, value: Any) -> None:
    """Write JSON to `path` atomically."""
    write_text(path, json.dumps(value, indent=1) + "\n")
