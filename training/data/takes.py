"""Takes on disk: a clip with its speech. What corpora are made of.

The keys of `training.data.clips` and beside them audio (int16, 16 kHz), words, starts, ends,
stressed_times, stressed_strengths, stressed_kinds, voice, split; what is missing stands in the
metadata. Knows no data set.
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
    """What a data set may lack; the take then holds zeros or nothing, and is not to learn it."""

    FACE = "face"
    SOUND = "sound"
    WORDS = "words"


@dataclass(frozen=True)
class TakeFile:
    """sound `[S]` in -1..1 at 16 kHz; stressed_times `[K]` of vowels (s), strengths `[K]` 0..1.

    speaker: whose manner of moving it is, empty where nobody says. stressed_kinds `[K]`: the kind
    of gesture that goes with each, from 1 in the order of `kinds` in corpus.json; 0: not known.
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
        """The clock of its frames."""
        return self.motion.format.clock


def write_take(path: Path, take: TakeFile) -> None:
    """Write a take to `path` (.npz), whole or not at all."""
    meta: dict[str, Any] = {"name": path.stem, "voice": take.voice, "split": take.split}
    if take.speaker:
        meta["speaker"] = take.speaker
    if take.missing:
        meta["missing"] = [str(part) for part in take.missing]
    arrays: dict[str, Any] = {
        **clip_arrays(take.motion),
        "audio": np.round(np.clip(take.sound, -1, 1) * 32767).astype(np.int16),
        "words": np.array([w.text for w in take.words], dtype=np.str_),
        # In double precision: a word that begins with a frame must not slip into the one before.
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
    """The take in `path`; ConfigError when a key is missing."""
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
    """What a take is like, without its frames."""

    format: PoseFormat
    missing: tuple[Missing, ...]
    speaker: str


def read_heading(path: Path) -> Heading:
    """The heading of the take in `path`; ConfigError when a key is missing."""
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(str(file["meta"])) if "meta" in file else {}
        speaker = str(meta.get("speaker", ""))
        return Heading(read_format(path, file), _missing(meta), speaker)


def _missing(meta: dict[str, Any]) -> tuple[Missing, ...]:
    return tuple(Missing(part) for part in meta.get("missing", ()))
