"""Stage `beat2`: a folder of the BEAT2 data set becomes a corpus that the other stages read.

Reads the official layout (smplxflame_30/*.npz, wave16k/*.wav, textgrid/*.TextGrid and
train_test_split.csv with the columns id and type) or a flat folder with all files side by side.
Writes takes in the format of `training.takes`, vocabulary.json, and corpus.json last. What is wrong
with a file is reported, and the file skipped.

Config: frame_rate, speakers, splits, split, workers; see `Beat2Settings`.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.audio.source import WavSource
from engine.config import from_mapping
from engine.errors import ConfigError, GestureError
from engine.face import FLAME_100
from engine.pose import FloatArray, HandReference
from engine.text.files import read_phones, read_words
from engine.text.words import TimedWord
from training.beat2 import read_beat2, to_motion
from training.clips import write_json
from training.compose import vocabulary
from training.parallel import in_order
from training.phones import VOWELS
from training.plan import Stress, prominent_words
from training.resample import resampled, shortened
from training.speech import Phone, Speech, SpokenWord
from training.takes import RATE, Missing, TakeFile, write_take

MOTION_FOLDER, SOUND_FOLDER, WORD_FOLDER = "smplxflame_30", "wave16k", "textgrid"
SPLIT_FILE = "train_test_split.csv"
SPLITS = ("train", "val", "test", "additional")
_SOUNDS = (".wav", ".flac", ".ogg")
_REPORT_EVERY = 50
_APART_S = 1.0  # motion and sound that differ by more are worth a word


@dataclass(frozen=True)
class Beat2Settings:
    """Settings of the stage.

    frame_rate: of the takes written, 30 or 15. speakers: numbers with which the names of takes
    begin; none: all. splits: which of the list's types are taken. split: of every take where there
    is no list.
    """

    frame_rate: int = 30
    speakers: tuple[int, ...] = ()
    splits: tuple[str, ...] = SPLITS
    split: str = "train"
    workers: int = 2


@dataclass(frozen=True)
class TakeFiles:
    """Where the parts of one take lie; None for what there is not."""

    name: str
    split: str
    motion: Path
    sound: Path | None
    words: Path | None


@dataclass(frozen=True)
class Problem:
    """What is wrong with one take."""

    name: str
    text: str


def find_takes(folder: Path, split: str = "train") -> tuple[list[TakeFiles], list[Problem]]:
    """The takes of a data set by name, and what the folder lacks.

    split: of all takes where there is no list of them. ConfigError for a folder without motions.
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
    # A list covers all takes; without one they are of one split.
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
    """Split by name of take; None where there is no list. ConfigError for another table."""
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"id", "type"} <= set(rows.fieldnames or ()):
            raise ConfigError(f"{path}: expected the columns id and type, got {rows.fieldnames}")
        return {row["id"].strip(): (row["type"] or "").strip() for row in rows if row["id"]}


def speaker_of(name: str) -> tuple[int | None, str]:
    """Number and voice of a take: `2_scott_0_1_1` is (2, "2_scott")."""
    words = name.split("_")
    return (int(words[0]) if words[0].isdigit() else None), "_".join(words[:2])


def load_beat2_take(files: TakeFiles, frame_rate: int) -> tuple[TakeFile, list[Problem]]:
    """One take at `frame_rate`, as long as both motion and sound; GestureError for a bad file."""
    motion = resampled(to_motion(read_beat2(files.motion)), frame_rate)
    clock, problems, missing = motion.format.clock, [], []
    if not np.ptp(motion.poses.face, axis=0).any():
        missing.append(Missing.FACE)
    words = tuple(read_words(files.words)) if files.words else ()
    if not words:
        missing.append(Missing.WORDS)
    if files.sound is None:
        sound = np.zeros(clock.first_sample(len(motion)), np.float32)
        missing.append(Missing.SOUND)
    else:
        blocks = WavSource(files.sound, block=RATE).blocks()
        sound = np.concatenate([block.samples for block in blocks])
    longer_s = len(motion) / clock.frame_rate - len(sound) / RATE
    if abs(longer_s) > _APART_S:
        problems.append(Problem(files.name, f"the motion is {longer_s:+.1f} s longer than sound"))
    motion = shortened(motion, clock.frames_complete(len(sound)))
    sound = sound[: clock.first_sample(len(motion))]
    stresses = stresses_of(sound, words, read_phones(files.words) if files.words else [])
    take = TakeFile(
        motion=motion,
        sound=sound,
        words=tuple(word for word in words if word.end_s * RATE <= len(sound)),
        stressed_times=np.array([s.time for s in stresses], np.float32),
        stressed_strengths=np.array([s.strength for s in stresses], np.float32),
        voice=speaker_of(files.name)[1],
        split=files.split,
        missing=tuple(missing),
    )
    return take, problems


def stresses_of(
    sound: FloatArray, words: Sequence[TimedWord], phones: Sequence[TimedWord]
) -> list[Stress]:
    """The words that stand out, as the composer finds them; none without phones."""
    spoken = tuple(_spoken(words, phones))
    inside = tuple(word for word in spoken if word.vowel_end * RATE <= len(sound))
    return prominent_words(Speech(sound, _named(phones), inside)) if inside else []


def _named(phones: Sequence[TimedWord]) -> tuple[Phone, ...]:
    return tuple(Phone(p.text.rstrip("012").lower(), p.start_s, p.end_s) for p in phones)


def _unstressed(phone: TimedWord) -> int:
    """0 for the primary stress of ARPAbet, 1 for the secondary, 2 for none."""
    return {"1": 0, "2": 1}.get(phone.text[-1:], 2)


def _spoken(words: Sequence[TimedWord], phones: Sequence[TimedWord]) -> Iterator[SpokenWord]:
    """Words with their stressed vowel: the one marked 1, else 2, else the first."""
    vowels = [p for p in phones if p.text.rstrip("012").lower() in VOWELS]
    first = 0
    for word in words:
        while first < len(vowels) and vowels[first].end_s <= word.start_s + 1e-6:
            first += 1
        last = first
        while last < len(vowels) and vowels[last].start_s < word.end_s - 1e-6:
            last += 1
        own = sorted(vowels[first:last], key=_unstressed)
        if own:
            text = word.text.lower()
            yield SpokenWord(text, word.start_s, word.end_s, own[0].start_s, own[0].end_s)


def _make(files: TakeFiles, frame_rate: int, out: Path) -> tuple[dict[str, Any], list[Problem]]:
    """Write one take; its entry in corpus.json (empty for one that was skipped) and problems."""
    try:
        take, problems = load_beat2_take(files, frame_rate)
        if not len(take.motion):
            raise ConfigError("no frame has sound")
    except GestureError as error:
        return {}, [Problem(files.name, f"{error}; skipped")]
    path = out / f"{files.split}_{files.name}.npz"
    write_take(path, take)
    # Features of an earlier take of that name would be taken for its own.
    for stale in (out / "features").glob(f"{path.stem}_*.npy"):
        stale.unlink()
    entry = {
        "name": path.stem,
        "split": take.split,
        "voice": take.voice,
        "frames": len(take.motion),
        "words": [word.text for word in take.words],
        "stresses": len(take.stressed_times),
        "missing": [str(part) for part in take.missing],
    }
    return entry, problems


def _chosen(takes: Sequence[TakeFiles], settings: Beat2Settings) -> list[TakeFiles]:
    speakers = set(settings.speakers)
    return [
        take
        for take in takes
        if take.split in settings.splits and (not speakers or speaker_of(take.name)[0] in speakers)
    ]


def run(config: dict[str, Any], data: Path, out: Path) -> None:
    """Stage: every take of `data` at the wanted frame rate into `out`."""
    settings = from_mapping(Beat2Settings, config)
    found, problems = find_takes(data, settings.split)
    jobs = _chosen(found, settings)
    if not jobs:
        raise ConfigError(
            f"none of the {len(found)} takes in {data} is of the speakers {settings.speakers} and "
            f"the splits {settings.splits}"
        )
    work = partial(_make, frame_rate=settings.frame_rate, out=out)
    entries: list[dict[str, Any]] = []
    for number, (entry, more) in enumerate(in_order(work, jobs, settings.workers), 1):
        entries += [entry] if entry else []
        problems = [*problems, *more]
        if number % _REPORT_EVERY == 0:
            print(f"{number} of {len(jobs)} takes", flush=True)
    for problem in problems:
        print(f"{problem.name}: {problem.text}", flush=True)
    if not entries:
        raise ConfigError(f"no take of {data} could be used; see the problems above")
    _finish(out, entries, problems, settings.frame_rate)


def _finish(
    out: Path, entries: Sequence[dict[str, Any]], problems: Sequence[Problem], frame_rate: int
) -> None:
    write_json(out / "vocabulary.json", vocabulary(entries))
    kept = [{key: value for key, value in e.items() if key != "words"} for e in entries]
    minutes = sum(e["frames"] for e in entries) / frame_rate / 60
    splits = {s: sum(e["split"] == s for e in entries) for s in {e["split"] for e in entries}}
    print(f"{len(entries)} takes {splits}, {minutes:.1f} min, {len(problems)} problems")
    write_json(
        out / "corpus.json",
        {
            "data": "BEAT2",
            "fps": frame_rate,
            "sample_rate": RATE,
            "face_basis": FLAME_100.name,
            "hand_reference": str(HandReference.SMPLX_MEAN),
            "takes": kept,
            "problems": [{"name": p.name, "text": p.text} for p in problems],
        },
    )
