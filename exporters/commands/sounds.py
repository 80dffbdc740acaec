"""Finds the sound files of a folder by their contents, and lists the files left out."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.audio.source import WavSource
from engine.errors import ConfigError, GestureError

SOUNDS: Final = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc"),
    *(".au", ".snd", ".w64", ".rf64", ".caf", ".m4a", ".aac", ".wma", ".amr"),
)
"""Suffixes of sound files, readable or not: each becomes a job or an error."""
COMPANIONS: Final = (
    *(".textgrid", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".csv", ".lab", ".md", ".npz"),
    *(".bvh", ".srt", ".vtt", ".pdf", ".png", ".jpg", ".jpeg", ".xml", ".toml", ".yaml", ".yml"),
)
"""Suffixes of files beside recordings that are left out without a note."""
_MOST_NAMED: Final = 8


@dataclass(frozen=True)
class Found:
    """sounds: in order. left_out: each with the reason."""

    sounds: tuple[Path, ...]
    left_out: tuple[tuple[Path, str], ...]

    def note(self) -> str | None:
        """A line about the files left out; None if there are none."""
        if not self.left_out:
            return None
        named = [f"{path.name} ({why})" for path, why in self.left_out[:_MOST_NAMED]]
        more = len(self.left_out) - len(named)
        rest = f" and {more} more" if more else ""
        return f"left out: {len(self.left_out)}: {', '.join(named)}{rest}"


def find_sounds(inputs: Sequence[Path]) -> Found:
    """Given files, and the sounds in given folders; ConfigError if there are none."""
    sounds: list[Path] = []
    left_out: list[tuple[Path, str]] = []
    for path in inputs:
        if not path.is_dir():
            sounds.append(path)
            continue
        inside = []
        for entry in _entries(path):
            why = _reason(entry)
            if why is None:
                inside.append(entry)
            elif why:
                left_out.append((entry, why))
        if not inside:
            left_out.append((path, "a folder without sounds"))
        sounds += inside
    found = Found(tuple(sounds), tuple(left_out))
    if not sounds:
        note = f"; {found.note()}" if left_out else ""
        raise ConfigError(
            f"no sound files in {inputs[0]}; expected files such as a.wav or a.flac{note}"
        )
    _require_distinct(sounds)
    return found


def _require_distinct(sounds: Sequence[Path]) -> None:
    """Raise ConfigError if two sounds have the same target."""
    stem, count = Counter(sound.stem for sound in sounds).most_common(1)[0]
    if count > 1:
        names = ", ".join(str(sound) for sound in sounds if sound.stem == stem)
        raise ConfigError(
            f"two of the files are called {stem} and would become one ({names}); render them into "
            "folders of their own"
        )


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ConfigError(
            f"the folder {folder} cannot be read ({error.strerror}); check its rights"
        ) from error


def _reason(path: Path) -> str | None:
    """Reason why an entry of a folder is left out; empty: without a note; None: it is a sound."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return "hidden" if suffix in SOUNDS else ""
    if path.is_dir():
        return "a folder"
    if path.exists() and not path.is_file():
        return "not a file"  # a pipe could block for ever
    if suffix in SOUNDS:
        return None
    if suffix in COMPANIONS:
        return ""
    if not path.exists():
        return "a link to nothing"
    if not os.access(path, os.R_OK):
        return None  # perhaps a sound: its job reports why it cannot be read
    return None if _opens(path) else "not a sound"


def _opens(path: Path) -> bool:
    try:
        WavSource(path).close()
    except (GestureError, OSError, ValueError):
        return False
    return True
