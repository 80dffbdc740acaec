"""Comparison of the composed corpus with a recorded take: `emage-bench corpus`.

Reads takes of the stage compose, a recording with its words, and the deviations of its data set;
tabulates the statistics of `bench.quality.motion_statistics` and draws 30 s of both. Takes without
speech of the figure (idle, listening) are left out: the recording has none.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.metrics.kinematics import Floats
from bench.plots.figures import contact_sheet
from bench.quality.motion_files import read_motion
from bench.quality.motion_statistics import GROUPS, Sample, measures
from engine.errors import ConfigError
from engine.text.files import read_words
from training.composer.style import STYLES
from training.data.takes import read_take

NEAR = 1.2
"""Maximum factor between a number and its target."""
_SPREAD = ", rotation spread"
_STRIP_S = 30


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "corpus", help="composed corpus against a recorded take: rates, speeds, holds, spreads"
    )
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR")
    parser.add_argument("--take", type=Path, required=True, metavar="FILE", help="recorded motion")
    parser.add_argument("--words", type=Path, required=True, metavar="FILE", help="its words")
    parser.add_argument(
        "--std",
        type=Path,
        metavar="FILE",
        help="330 standard deviations of 6D rotations of the data set",
    )
    parser.add_argument("--speaker", default="", choices=["", *STYLES], help="of the takes")
    parser.add_argument("--split", default="train", choices=["train", "test"])
    parser.add_argument(
        "--limit", type=int, default=40, metavar="N", help="maximum number of takes"
    )
    parser.add_argument("--strip", type=Path, metavar="PNG", help="draw 30 s of both")


def corpus_command(options: argparse.Namespace) -> int:
    """Print the table and one line of JSON."""
    real = Sample(read_motion(options.take), tuple(read_words(options.words)))
    composed = read_corpus(options.corpus, options.split, options.speaker, options.limit)
    rows = compare(composed, real, None if options.std is None else read_std(options.std))
    print(table(rows))
    if options.strip:
        draw(options.strip, composed[0], real)
    seconds = sum(len(s.motion) / s.fps for s in composed)
    print(json.dumps({"takes": len(composed), "minutes": round(seconds / 60, 1), "rows": rows}))
    return 0


def read_corpus(folder: Path, split: str, speaker: str, limit: int) -> list[Sample]:
    """Takes in which the figure speaks; ConfigError without any."""
    listening = {style.name for style in STYLES.values() if style.listens}
    listed = folder / "corpus.json"
    if not listed.is_file():
        raise ConfigError(f"expected a corpus in {folder}; run the stage compose first")
    entries = json.loads(listed.read_text())["takes"]
    names = [
        entry["name"]
        for entry in entries
        if entry["split"] == split
        and entry["voice"] != "silence"
        and entry.get("speaker", "") not in listening
        and speaker in ("", entry.get("speaker", ""))
    ]
    if not names:
        raise ConfigError(
            f"{folder}: expected takes of split {split!r} with speech"
            f"{f' by {speaker!r}' if speaker else ''}; compose more minutes"
        )
    takes = (read_take(folder / f"{name}.npz") for name in names[:limit])
    return [Sample(take.motion, take.words) for take in takes]


def read_std(path: Path) -> Floats:
    """Length `[55]` of each joint's deviations; ConfigError for another shape."""
    values = np.load(path, allow_pickle=False)
    if values.size != 330:
        raise ConfigError(f"{path}: expected 330 numbers (55 joints x 6D), got {values.size}")
    return np.sqrt(np.square(values.reshape(55, 6).astype(np.float64)).sum(-1))


def compare(composed: Sequence[Sample], real: Sample, std: Floats | None) -> list[dict[str, Any]]:
    """One row per measure: composed, recorded, ratio; and the data set's value if known."""
    ours, theirs = measures(composed), measures([real])
    rows: list[dict[str, Any]] = []
    for name, value in ours.items():
        if not (np.isfinite(value) and theirs[name]):
            continue  # without pauses, or without steps
        row: dict[str, Any] = {"name": name, "composed": value, "real": theirs[name]}
        row["ratio"] = value / theirs[name]
        if std is not None and name.endswith(_SPREAD):
            joints = list(GROUPS[name.removesuffix(_SPREAD)])
            row["data_set"] = float(std[joints].mean())
            row["data_set_ratio"] = value / row["data_set"]
        rows.append(row)
    return rows


def near(row: dict[str, Any]) -> bool:
    """True if a row is near one of its targets, or between them."""
    ratios = [row["ratio"], row.get("data_set_ratio", row["ratio"])]
    return bool(min(ratios) <= NEAR and max(ratios) >= 1 / NEAR)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as text; a star marks values that are not near a target."""
    head = f"{'':34s}{'composed':>9s}{'real':>9s}{'ratio':>7s}{'data set':>10s}{'ratio':>7s}"
    lines = [head]
    for row in rows:
        line = f"{row['name']:34s}{row['composed']:9.3f}{row['real']:9.3f}{row['ratio']:7.2f}"
        if "data_set" in row:
            line += f"{row['data_set']:10.3f}{row['data_set_ratio']:7.2f}"
        lines.append(line if near(row) else f"{line} *")
    lines.append(f"{sum(map(near, rows))} of {len(rows)} within {NEAR - 1:.0%} of a target")
    return "\n".join(lines)


def draw(path: Path, composed: Sample, real: Sample) -> None:
    """Write one pose per second of both for 30 s, the recorded take above."""
    poses = []
    for label, sample in (("real", real), ("composed", composed)):
        for second in range(_STRIP_S):
            frame = min((second + 1) * sample.fps, len(sample.motion) - 1)
            poses.append((f"{label} {second + 1} s", sample.motion, frame))
    contact_sheet(path, poses, columns=_STRIP_S)
