"""Recorded utterances as speech for the composer: a folder with split.tsv and audio files.

split.tsv has the columns set, utterance, split (train or test) and text; audio is at
SET/UTTERANCE.flac, .wav or .ogg. Utterances that cannot be aligned are reported and skipped.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.audio.source import WavSource
from engine.errors import ConfigError, GestureError
from engine.motion.pose import FloatArray
from training.speech.align import Aligner
from training.speech.speech import Speech

_SOUNDS = (".flac", ".wav", ".ogg")
_COLUMNS = ("set", "utterance", "split", "text")
_EDGE_S = 0.012  # fade at both ends; a hard cut would click


@dataclass(frozen=True)
class Utterance:
    """A recording: reader, split (train or test), audio file and text."""

    reader: str
    split: str
    path: Path
    text: str


@dataclass(frozen=True)
class RecordedUtterance:
    """An aligned utterance."""

    reader: str
    split: str
    speech: Speech


def read_list(folder: Path) -> list[Utterance]:
    """Read the utterances of FOLDER/split.tsv with audio and text; ConfigError without a list."""
    table = folder / "split.tsv"
    if not table.is_file():
        raise ConfigError(f"expected {table} with the columns {', '.join(_COLUMNS)}")
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if rows and (missing := [c for c in _COLUMNS if c not in rows[0]]):
        raise ConfigError(f"{table}: expected the column {missing[0]!r}, it has {[*rows[0]]}")
    found = []
    for row in rows:
        paths = (folder / row["set"] / f"{row['utterance']}{ending}" for ending in _SOUNDS)
        path = next((p for p in paths if p.is_file()), None)
        if path is not None and (row["text"] or "").strip():
            found.append(Utterance(row["set"], row["split"], path, row["text"]))
    return found


def read_sound(path: Path) -> FloatArray:
    """Read samples `[S]` at 16 kHz and fade both ends."""
    samples = np.concatenate([block.samples for block in WavSource(path).blocks()])
    edge = min(int(_EDGE_S * SAMPLE_RATE), len(samples) // 2)
    fade = np.linspace(0, 1, edge, dtype=np.float32)
    samples = samples.astype(np.float32)
    samples[:edge] *= fade
    samples[len(samples) - edge :] *= fade[::-1]
    return samples


def align_all(utterances: Sequence[Utterance]) -> tuple[list[RecordedUtterance], list[str]]:
    """Align utterances; returns the aligned ones and a line of text for each failure."""
    if not utterances:
        return [], []
    aligner = Aligner()
    aligned, problems = [], []
    for item in utterances:
        try:
            speech = aligner.align(read_sound(item.path), item.text)
        except ConfigError:
            raise  # a fault of the installation, not of the recording
        except GestureError as error:
            problems.append(f"{item.reader}/{item.path.name}: {error}")
        else:
            aligned.append(RecordedUtterance(item.reader, item.split, speech))
    return aligned, problems


def draw_utterances(
    recorded: Sequence[RecordedUtterance], split: str, seconds: float, rng: np.random.Generator
) -> tuple[str, list[Speech]]:
    """Draw a reader of `split` and utterances of about `seconds` in total."""
    own = [item for item in recorded if item.split == split]
    readers = sorted({item.reader for item in own})
    lengths = [sum(i.speech.duration for i in own if i.reader == r) for r in readers]
    if not readers:
        raise ConfigError(f"expected recorded utterances of split {split!r}, there are none")
    reader = str(rng.choice(readers, p=np.array(lengths) / sum(lengths)))
    pool = [item.speech for item in own if item.reader == reader]
    chosen: list[Speech] = []
    for index in rng.permutation(len(pool)):
        if sum(s.duration for s in chosen) < seconds:
            chosen.append(pool[int(index)])
    return reader, chosen
