"""Takes on disk: a clip with its speech; corpora consist of takes.

Keys: those of `training.data.clips`, audio (int16, 16 kHz), words, starts, ends, stressed_times,
stressed_strengths, stressed_kinds, voice, split. The metadata list missing components.
"""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.motion.pose import FloatArray, Motion, PoseFormat
from engine.text.words import TimedWord
from training.data.clips import clip_arrays, load_clip, read_format, write_arrays


class Missing(StrEnum):
    """Component that a data set may lack: zeros or empty in the take, excluded from losses."""

    FACE = "face"
    SOUND = "sound"
    WORDS = "words"


@dataclass(frozen=True)
class TakeFile:
    """Content of a take's file.

    Attributes:
        motion: the motion.
        sound: audio `[S]`, -1..1 at 16 kHz.
        words: words with times.
        stressed_times: onsets `[K]` of stressed vowels, seconds.
        stressed_strengths: their strengths `[K]`, 0..1.
        voice: name of the voice; `silence` if no one speaks.
        split: train, val or test.
        missing: components that the take lacks.
        speaker: name of the person who moves; empty if unknown.
        stressed_kinds: gesture class `[K]` of each stress, from 1 in the order of `kinds` in
            corpus.json; 0: unknown.

    """

    motion: Motion
    sound: FloatArray
    words: tuple[TimedWord, ...]
    stressed_times: FloatArray
    stressed_strengths: FloatArray
    voice: str
    split: str
    missing: tuple[Missing, ...] = ()
    speaker: str = ""
    stressed_kinds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def clock(self) -> FrameClock:
        """Clock of the motion's frames."""
        return self.motion.format.clock


def write_take(path: Path, take: TakeFile) -> None:
    """Write a take to `path` (.npz) atomically."""
    meta: dict[str, Any] = {"name": path.stem, "voice": take.voice, "split": take.split}
    if take.speaker:
        meta["speaker"] = take.speaker
    if take.missing:
        meta["missing"] = [str(part) for part in take.missing]
    arrays: dict[str, Any] = {
        **clip_arrays(take.motion),
        "audio": np.round(np.clip(take.sound, -1, 1) * 32767).astype(np.int16),
        "words": np.array([w.text for w in take.words], dtype=np.str_),
        # Double precision, so that a word that starts with a frame stays in that frame.
        "starts": np.array([w.start_s for w in take.words], np.float64),
        "ends": np.array([w.end_s for w in take.words], np.float64),
        "stressed_times": np.asarray(take.stressed_times, np.float32),
        "stressed_strengths": np.asarray(take.stressed_strengths, np.float32),
        "stressed_kinds": np.asarray(take.stressed_kinds, np.int64),
        "voice": take.voice,
        "split": take.split,
        "meta": json.dumps(meta),
    }
    write_arrays(path, arrays)


def read_take(path: Path) -> TakeFile:
    """Read the take in `path`; ConfigError if a key is missing."""
    motion, meta = load_clip(path)
    with np.load(path, allow_pickle=False) as file:
        keys = ("audio", "words", "starts", "ends", "stressed_times", "voice")
        lacking = [key for key in keys if key not in file]
        if lacking:
            raise ConfigError(f"{path}: expected the key {lacking[0]!r} of a take")
        timed = zip(file["words"], file["starts"], file["ends"], strict=True)
        words = tuple(TimedWord(str(w), float(s), float(e)) for w, s, e in timed if str(w).strip())
        times = file["stressed_times"]
        strengths = file["stressed_strengths"] if "stressed_strengths" in file else 1 + 0 * times
        kinds = file["stressed_kinds"] if "stressed_kinds" in file else np.zeros(0, np.int64)
        return TakeFile(
            motion=motion,
            sound=(file["audio"].astype(np.float32) / 32768).astype(np.float32),
            words=words,
            stressed_times=times,
            stressed_strengths=strengths,
            voice=str(file["voice"]),
            split=str(meta.get("split", "train")),
            missing=_missing(meta),
            speaker=str(meta.get("speaker", "")),
            stressed_kinds=kinds if len(kinds) else np.zeros(len(times), np.int64),
        )


@dataclass(frozen=True)
class Heading:
    """Metadata of a take, without its frames."""

    format: PoseFormat
    missing: tuple[Missing, ...]
    speaker: str


def read_heading(path: Path) -> Heading:
    """Read the heading of the take in `path`; ConfigError if a key is missing."""
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(str(file["meta"])) if "meta" in file else {}
        speaker = str(meta.get("speaker", ""))
        return Heading(read_format(path, file), _missing(meta), speaker)


def _missing(meta: dict[str, Any]) -> tuple[Missing, ...]:
    return tuple(Missing(part) for part in meta.get("missing", ()))
