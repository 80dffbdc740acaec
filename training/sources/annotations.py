"""Annotations of recorded motion: words, phones, and faces as ARKit coefficients.

Reads words from TextGrid, TSV or the JSON of a speech recogniser (Trinity's transcripts), faces
from BEAT's JSON.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ClipError, TranscriptError
from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import FloatArray
from engine.text.files import read_phones, read_words, words_from_json
from engine.text.words import TimedWord

_TIMES = (("start", "end"), ("start_time", "end_time"), ("startTime", "endTime"))


def read_speech(path: Path) -> tuple[list[TimedWord], list[TimedWord]]:
    """Read words and phones; only TextGrids have phones. TranscriptError if that fails."""
    if path.suffix.lower() == ".json":
        return read_json_words(path), []
    grid = path.suffix.lower() == ".textgrid"
    return read_words(path), read_phones(path) if grid else []


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise TranscriptError(f"cannot read {path} as JSON: {error}") from error


def read_json_words(path: Path) -> list[TimedWord]:
    """Read words, sorted by time, from `{"words": [...]}` or Google's recogniser's results.

    The results are a list of `{"alternatives": [{"words": [{"word", "start_time", "end_time"}]}]}`
    with times such as "1.400s"; the first alternative is used. TranscriptError for anything else.
    """
    message = _read_json(path)
    try:
        if isinstance(message, dict) and isinstance(message.get("words"), list):
            return words_from_json(message)
        return sorted(_recognised(message), key=lambda word: (word.start_s, word.end_s))
    except (TranscriptError, TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise TranscriptError(
            f"{path}: expected a list of results with alternatives and timed words: {error}"
        ) from error


def _recognised(results: Any) -> Iterator[TimedWord]:
    if not isinstance(results, list):
        raise TranscriptError(f"got {str(results)[:60]}")
    for result in results:
        alternatives = result["alternatives"]
        for entry in alternatives[0].get("words", []) if alternatives else []:
            names = next(pair for pair in (*_TIMES, ("", "")) if pair[0] in entry or not pair[0])
            start_s, end_s = (_seconds(entry[name]) for name in names)
            yield TimedWord(str(entry["word"]).strip(), start_s, end_s)


def _seconds(value: Any) -> float:
    return float(value.removesuffix("s") if isinstance(value, str) else value)


def is_face(path: Path) -> bool:
    """True if a JSON file holds a BEAT face; reads only its beginning."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            beginning = file.read(200)
    except OSError:
        return False
    return beginning.lstrip().startswith("{") and (
        '"names"' in beginning or '"frames"' in beginning
    )


def read_face(path: Path, frames: int, frame_rate: int) -> FloatArray:
    """Read ARKit coefficients `[frames, 51]`, 0..1, at `frame_rate` from a BEAT JSON file.

    The file has `names`, and `frames` with `weights` and `time` in seconds. Weights are
    interpolated linearly and held at both ends. ClipError for anything else.
    """
    try:
        message = _read_json(path)
        names, rows = list(message["names"]), message["frames"]
        times = np.array([float(row["time"]) for row in rows])
        weights = np.array([row["weights"] for row in rows], np.float64)
        if weights.shape != (len(rows), len(names)) or not len(rows):
            raise ValueError(f"{len(names)} names, weights {[*weights.shape]}")
        if not (np.isfinite(weights).all() and np.isfinite(times).all()):
            raise ValueError("NaN or infinite numbers")
    except (TranscriptError, TypeError, KeyError, ValueError) as error:
        raise ClipError(
            f"{path}: expected a face as BEAT keeps it, names and frames with weights and time: "
            f"{error}"
        ) from error
    missing = sorted(set(ARKIT_51.coefficients) - set(names))
    if missing:
        raise ClipError(f"{path}: expected the coefficient {missing[0]!r} of {ARKIT_51.name}")
    order = np.argsort(times, kind="stable")
    return _at_frames(times[order], weights[order], names, np.arange(frames) / frame_rate)


def _at_frames(times: Any, weights: Any, names: Sequence[str], wanted: Any) -> FloatArray:
    columns = [weights[:, names.index(name)] for name in ARKIT_51.coefficients]
    face = np.stack([np.interp(wanted, times, column) for column in columns], 1)
    return np.clip(face, 0, 1).astype(np.float32)
