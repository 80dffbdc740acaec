"""Clips on disk: one motion with its metadata in an .npz file.

Keys: rotations `[T, 55, 4]` wxyz, translation `[T, 3]`, contacts `[T, 4]`, face `[T, 51]`, all
float32; fps; meta (JSON). Skeleton, face basis and hand reference are those of our own bundles.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.pose import Motion, PoseChunk, PoseFormat

ARRAYS = ("rotations", "translation", "contacts", "face")


def save_clip(path: Path, motion: Motion, meta: dict[str, Any]) -> None:
    """Write `motion` and `meta` to `path` (.npz), whole or not at all."""
    arrays = {name: getattr(motion.poses, name) for name in ARRAYS}
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        np.savez(file, **arrays, fps=motion.format.clock.frame_rate, meta=json.dumps(meta))
    os.replace(temporary, path)


def load_clip(path: Path) -> tuple[Motion, dict[str, Any]]:
    """The motion and metadata in `path`; ConfigError when a key is missing."""
    with np.load(path, allow_pickle=False) as file:
        missing = [name for name in (*ARRAYS, "fps") if name not in file]
        if missing:
            raise ConfigError(
                f"{path}: expected the key {missing[0]!r} of a clip, it has {file.files}"
            )
        chunk = PoseChunk(0, **{name: file[name].astype(np.float32) for name in ARRAYS})
        meta = json.loads(str(file["meta"])) if "meta" in file else {}
        clock = FrameClock(frame_rate=int(file["fps"]))
    return Motion(PoseFormat(clock=clock), chunk), meta


def write_json(path: Path, value: Any) -> None:
    """Write JSON to `path`, whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    os.replace(temporary, path)
