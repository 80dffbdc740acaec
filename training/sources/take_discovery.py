"""Take discovery: groups the motion, sound, words and face files of a folder by name.

Speaker and split follow from the naming schemes of Trinity, ZeroEGGS and BEAT. Other files belong
together if their names are equal. Motion and sound files are not opened.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from engine.errors import ConfigError
from training.sources.annotations import is_face
from training.sources.corpus import Problem

SOUNDS = (".wav", ".flac", ".ogg")
WORDS = (".textgrid", ".tsv", ".json")
_BEAT = re.compile(r"(?P<number>\d+)_(?P<name>[a-z]+)_(?P<kind>\d)_(?P<first>\d+)_\d+", re.I)
_ZEROEGGS = re.compile(r"\d{3}_(?P<style>[a-z]+)_\d+(?P<mirror>_mirror)?(_x_\d+_\d+)?", re.I)
_TRINITY = re.compile(r"(recording|naturaltalking)_?\d+", re.I)
INFO = "info.csv"

# BEAT's published split: the first sequences of each emotion are test, those before the last
# validation. Ten speakers recorded four hours, the others one.
_FOUR_HOURS = {1, 2, 3, 4, 6, 7, 8, 9, 11, 21}
_TESTED = {65, 73, 81, 87, 95, 103, 111}
_VALIDATED = {72, 80, 86, 94, 102, 110, 118}


@dataclass(frozen=True)
class Recording:
    """Files of one take; None for missing ones."""

    name: str
    voice: str
    split: str
    motion: Path
    sound: Path | None = None
    words: Path | None = None
    face: Path | None = None


@dataclass(frozen=True)
class Naming:
    """Information in a file name.

    Attributes:
        data: data set.
        voice: speaker.
        split: published split; empty if the name does not determine it.
        skipped: reason to skip the file; empty for none.

    """

    data: str
    voice: str
    split: str = ""
    skipped: str = ""


def naming_of(stem: str) -> Naming:
    """Parse the name of a file without its suffix."""
    if match := _BEAT.fullmatch(stem):
        number, kind, first = (int(match[key]) for key in ("number", "kind", "first"))
        return Naming("BEAT", f"{number}_{match['name'].lower()}", beat_split(number, kind, first))
    if match := _ZEROEGGS.fullmatch(stem):
        skipped = "a mirrored copy; skipped" if match["mirror"] else ""
        return Naming("ZeroEGGS", f"zeroeggs_{match['style'].lower()}", skipped=skipped)
    if _TRINITY.fullmatch(stem):
        return Naming("Trinity", "trinity")
    return Naming("BVH", "speaker")


def beat_split(speaker: int, kind: int, sequence: int) -> str:
    """Published split of a sequence of BEAT (kind 0: English speech, 1: conversation)."""
    long = speaker in _FOUR_HOURS
    if kind == 1:
        return {1: "test", 12: "val"}.get(sequence, "train") if long or sequence == 1 else "train"
    if kind > 1:
        return "train"
    if sequence in _TESTED or sequence <= (8 if long else 4):
        return "test"
    validated = _VALIDATED | set(range(57, 65)) if long else set(range(5, 9))
    return "val" if sequence in validated else "train"


def find_recordings(
    folder: Path, split: str = "train", held_out: Sequence[tuple[str, str]] = ()
) -> tuple[list[Recording], list[Problem]]:
    """Find the takes under `folder` with BVH motion, sorted by name, and their problems.

    split: split of takes whose name does not determine one. held_out: pairs of a name pattern such
    as "Recording_00[89]*" and the split of matching takes. ConfigError for a folder without BVH.
    """
    motions = _with_suffix(folder, (".bvh",))
    if not motions:
        raise ConfigError(f"no motions in {folder}: expected *.bvh, there or in folders below")
    index = _FileIndex(folder)
    validation = read_validation(folder)
    names = _names(motions)
    found, problems = [], []
    for path, name in zip(motions, names, strict=True):
        naming = naming_of(path.stem)
        if naming.skipped:
            problems.append(Problem(name, naming.skipped))
            continue
        own = Recording(name, naming.voice, naming.split or split, path)
        if naming.data == "ZeroEGGS" and validation:
            own = replace(own, split=_of_zeroeggs(path.stem, validation))
        for pattern, other in held_out:
            own = replace(own, split=other) if fnmatch(path.stem, pattern) else own
        own, more = index.with_files(own)
        found.append(own)
        problems += more
    return sorted(found, key=lambda r: r.name), sorted(problems, key=lambda p: p.name)


def _with_suffix(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    )


def _names(motions: Sequence[Path]) -> list[str]:
    """Unique name of each motion; equal stems are prefixed with the folder."""
    stems = [path.stem for path in motions]
    return [
        stem if stems.count(stem) == 1 else f"{path.parent.name}_{stem}"
        for path, stem in zip(motions, stems, strict=True)
    ]


def _key(stem: str) -> str:
    """Normalise case and leading zeros: NaturalTalking_01 and _001 are equal."""
    return re.sub(r"0+(?=\d)", "", stem.lower())


class _FileIndex:
    """Index of sound, word and face files by normalised name."""

    def __init__(self, folder: Path) -> None:
        files = _with_suffix(folder, (*SOUNDS, *WORDS))
        self._by_key: dict[str, list[Path]] = {}
        for path in files:
            self._by_key.setdefault(_key(path.stem), []).append(path)

    def with_files(self, own: Recording) -> tuple[Recording, list[Problem]]:
        """Add sound, words and face to a recording; returns it and the problems."""
        files = self._by_key.get(_key(own.motion.stem), [])
        kinds: dict[str, Callable[[Path], bool]] = {
            "sound": lambda path: path.suffix.lower() in SOUNDS,
            "words": lambda path: path.suffix.lower() in WORDS and not _face(path),
            "face": _face,
        }
        problems = []
        taken: dict[str, Path | None] = {}
        for kind, fits in kinds.items():
            taken[kind], others = _nearest(own.motion, [path for path in files if fits(path)])
            if others:
                problems.append(
                    Problem(own.name, f"{taken[kind]} taken as its {kind}, also {others[0]}")
                )
        own = replace(own, sound=taken["sound"], words=taken["words"], face=taken["face"])
        return own, problems


def _face(path: Path) -> bool:
    return path.suffix.lower() == ".json" and is_face(path)


def _nearest(motion: Path, files: Sequence[Path]) -> tuple[Path | None, list[Path]]:
    """Best file by folder, name and suffix, and further files that rank equally."""
    order = {suffix: i for i, suffix in enumerate((*SOUNDS, *WORDS))}
    ranked = sorted(
        files,
        key=lambda p: (p.parent != motion.parent, p.stem != motion.stem, order[p.suffix.lower()]),
    )
    if not ranked:
        return None, []
    first = ranked[0]
    alike = [
        p
        for p in ranked[1:]
        if (p.parent != motion.parent) == (first.parent != motion.parent)
        and (p.stem == motion.stem) == (first.stem == motion.stem)
        and p.suffix.lower() == first.suffix.lower()
    ]
    return first, alike


def read_validation(folder: Path) -> dict[str, bool]:
    """Read ZeroEGGS's validation flag by normalised name from info.csv; empty without the file."""
    path = next((p for p in (folder / INFO, folder.parent / INFO) if p.is_file()), None)
    if path is None:
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"anim_bvh", "validation"} <= set(rows.fieldnames or ()):
            raise ConfigError(
                f"{path}: expected the columns anim_bvh and validation, got {rows.fieldnames}"
            )
        return {
            _key(Path(row["anim_bvh"].strip()).stem): row["validation"].strip().upper() == "TRUE"
            for row in rows
            if row["anim_bvh"]
        }


def _of_zeroeggs(stem: str, validation: dict[str, bool]) -> str:
    """Split of a ZeroEGGS file; removes the trim suffix, as in 067_Speech_2_x_1_0."""
    key = _key(re.sub(r"_x_\d+_\d+$", "", stem))
    return "val" if validation.get(key) else "train"
