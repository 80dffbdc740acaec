"""Stage `beat2`: converts a folder of the BEAT2 data set to a corpus.

Reads the official layout (smplxflame_30/*.npz, wave16k/*.wav, textgrid/*.TextGrid and
train_test_split.csv with the columns id and type) or a flat folder with all files. Writes takes in
the format of `training.data.takes`, vocabulary.json, then corpus.json. Files with errors are
reported and skipped.

Config: see `Beat2Settings`.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.config.serialize import from_mapping
from engine.errors import ConfigError
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import HandReference
from engine.text.files import read_phones, read_words
from training.sources.beat2 import read_beat2, to_motion
from training.sources.corpus import Loaded, Problem, RecordedTake, take_of, write_corpus
from training.sources.resample import resampled

MOTION_FOLDER, SOUND_FOLDER, WORD_FOLDER = "smplxflame_30", "wave16k", "textgrid"
SPLIT_FILE = "train_test_split.csv"
SPLITS = ("train", "val", "test", "additional")
_SOUNDS = (".wav", ".flac", ".ogg")


@dataclass(frozen=True)
class Beat2Settings:
    """Settings of the stage.

    Attributes:
        frame_rate: frame rate of the takes written, 30 or 15 frames/s.
        speakers: speaker numbers to read, as in the names of takes; empty for all.
        splits: splits to read.
        split: split of all takes without a train_test_split.csv.
        workers: processes.

    """

    frame_rate: int = 30
    speakers: tuple[int, ...] = ()
    splits: tuple[str, ...] = SPLITS
    split: str = "train"
    workers: int = 2


@dataclass(frozen=True)
class TakeFiles:
    """Files of one take; None for missing ones."""

    name: str
    split: str
    motion: Path
    sound: Path | None
    words: Path | None


def find_takes(folder: Path, split: str = "train") -> tuple[list[TakeFiles], list[Problem]]:
    """Find the takes of a data set, sorted by name, and the problems of the folder.

    split: split of all takes without a list of splits. ConfigError for a folder without motions.
    """
    official = (folder / MOTION_FOLDER).is_dir()
    parts = (MOTION_FOLDER, SOUND_FOLDER, WORD_FOLDER) if official else (".", ".", ".")
    motions, sounds, words = (
        _by_name(folder / part, endings)
        for part, endings in zip(parts, ((".npz",), _SOUNDS, (".textgrid",)), strict=True)
    )
    if not motions:
        raise ConfigError(
            f"no motions of BEAT2 in {folder}: expected {MOTION_FOLDER}/*.npz, or *.npz itself"
        )
    listed = read_splits(folder / SPLIT_FILE)
    # A list covers all takes; without one, all are of one split.
    names = listed if listed is not None else dict.fromkeys({**motions, **sounds}, split)
    problems = [Problem(n, "no motion (.npz); skipped") for n in names if n not in motions]
    problems += [Problem(n, f"not in {SPLIT_FILE}; skipped") for n in motions if n not in names]
    takes = [
        TakeFiles(name, kind, motions[name], sounds.get(name), words.get(name))
        for name, kind in sorted(names.items())
        if name in motions
    ]
    return takes, sorted(problems, key=lambda problem: problem.name)


def _by_name(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)
    return {path.stem: path for path in found if not path.name.startswith(".")}


def read_splits(path: Path) -> dict[str, str] | None:
    """Read the split of each take; None without a list. ConfigError for another table."""
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"id", "type"} <= set(rows.fieldnames or ()):
            raise ConfigError(f"{path}: expected the columns id and type, got {rows.fieldnames}")
        return {row["id"].strip(): (row["type"] or "").strip() for row in rows if row["id"]}


def speaker_of(name: str) -> tuple[int | None, str]:
    """Speaker number and voice of a take: (2, "2_scott") for `2_scott_0_1_1`."""
    words = name.split("_")
    return (int(words[0]) if words[0].isdigit() else None), "_".join(words[:2])


def load_beat2_take(files: TakeFiles, frame_rate: int) -> Loaded:
    """Read one take at `frame_rate`, cut to one length; GestureError for an invalid file."""
    motion = resampled(to_motion(read_beat2(files.motion)), frame_rate)
    return take_of(
        RecordedTake(
            name=files.name,
            voice=speaker_of(files.name)[1],
            split=files.split,
            motion=motion,
            sound=files.sound,
            words=read_words(files.words) if files.words else (),
            phones=read_phones(files.words) if files.words else (),
            face=bool(np.ptp(motion.poses.face, axis=0).any()),
        )
    )


def _selected(takes: Sequence[TakeFiles], settings: Beat2Settings) -> list[TakeFiles]:
    speakers = set(settings.speakers)
    return [
        take
        for take in takes
        if take.split in settings.splits and (not speakers or speaker_of(take.name)[0] in speakers)
    ]


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Convert the takes of `data` and write them to `out`."""
    settings = from_mapping(Beat2Settings, config)
    found, problems = find_takes(data, settings.split)
    jobs = _selected(found, settings)
    if not jobs:
        raise ConfigError(
            f"none of the {len(found)} takes in {data} is of the speakers {settings.speakers} and "
            f"the splits {settings.splits}"
        )
    facts = {
        "data": "BEAT2",
        "fps": settings.frame_rate,
        "face_basis": FLAME_100.name,
        "hand_reference": str(HandReference.SMPLX_MEAN),
    }
    load = partial(load_beat2_take, frame_rate=settings.frame_rate)
    write_corpus(out, jobs, load, problems, facts, settings.workers)
