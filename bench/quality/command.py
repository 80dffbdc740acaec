"""The subcommands `quality` and `fgd` of emage-bench."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.metrics.gesture_features import OUR_FEATURES, load_encoder
from bench.metrics.kinematics import Floats, places, places_in_body, places_in_place
from bench.plots.figures import distributions, speeds_over_time, strips
from bench.quality.codebook_usage import code_usage
from bench.quality.motion_files import motion_files, read_motion
from bench.quality.page import WHAT, page, shown
from bench.quality.quality import WRISTS, Settings, as_json, evaluate
from bench.quality.sync import wrist_speed
from bench.quality.takes import TakePair, load_pairs
from bench.quality.train_fgd import FeatureTraining, train_from_folder
from engine.errors import ConfigError, GestureError
from engine.system.atomic import write_text
from exporters.commands.common import load_bundle_for_cli

_DRAWN = 3  # takes whose stick figures are shown
_POSES = 12
_STRIP_S = 3.0

Subparsers = Any  # argparse has no public name for what add_subparsers gives


def add_commands(commands: Subparsers) -> None:
    """Add both parsers to those of emage-bench."""
    quality = commands.add_parser("quality", help="made motion against the truth, in numbers")
    quality.add_argument("--pred", type=Path, required=True, metavar="DIR", help="made motions")
    quality.add_argument("--gt", type=Path, required=True, metavar="DIR", help="true motions")
    quality.add_argument(
        "--audio", type=Path, metavar="DIR", help="sounds and words by name (default: as --gt)"
    )
    quality.add_argument("--json", action="store_true", help="nothing but one JSON object")
    quality.add_argument("--page", type=Path, metavar="FILE.html", help="write a report to look at")
    quality.add_argument(
        "--fgd-weights", type=Path, metavar="FILE.safetensors", default=OUR_FEATURES,
        help="features of FGD (default: our own)",
    )  # fmt: skip
    quality.add_argument(
        "--mean-speeds", type=Path, metavar="FILE.npy", help="joints' mean speeds [55] (m/s) for BC"
    )
    quality.add_argument(
        "--seams", type=int, nargs=2, metavar=("FIRST", "EVERY"), help="frames of joined windows"
    )
    quality.add_argument("--train", type=Path, metavar="DIR", help="motions that were trained on")
    quality.add_argument("--model", type=Path, metavar="DIR", help="bundle whose codes are counted")
    quality.add_argument(
        "--face-map", type=Path, metavar="FILE.npy", help="ARKit weights to FLAME, [51, 103]"
    )
    fgd = commands.add_parser("fgd", help="train the features of the Frechet gesture distance")
    fgd.add_argument("--data", type=Path, required=True, metavar="DIR", help="motions to learn")
    fgd.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors")
    fgd.add_argument("--steps", type=int, default=FeatureTraining.steps, metavar="N")
    fgd.add_argument("--licence", default="", metavar="TEXT", help="of the data, kept in the file")


def quality_command(options: argparse.Namespace) -> int:
    """Measure, print, and write the page if one is wanted."""
    pairs, problems = load_pairs(options.pred, options.gt, options.audio)
    settings, notes = read_settings(options)
    report = evaluate(pairs, settings)
    report.notes = notes + report.notes
    numbers = as_json(report, pairs)
    numbers["problems"] = problems
    numbers["codes"] = _codes(options.model, pairs, numbers["notes"])
    if options.page is not None:
        title = f"Quality of {options.pred.name} against {options.gt.name}"
        options.page.parent.mkdir(parents=True, exist_ok=True)
        write_text(options.page, page(title, numbers, pictures(pairs)))
    if not options.json:
        print(table(numbers))
    print(json.dumps(numbers))
    return 0


def fgd_command(options: argparse.Namespace) -> int:
    """Train the features on a folder of motions."""
    settings = replace(FeatureTraining(), steps=options.steps)
    notes = train_from_folder(options.data, options.out, settings, options.licence)
    print(json.dumps({"weights": str(options.out), **vars(notes)}))
    return 0


def read_settings(options: argparse.Namespace) -> tuple[Settings, list[str]]:
    """What the options name, read and checked; and what is to be said of it."""
    encoder, known = load_encoder(options.fgd_weights)
    notes = [
        f"fgd by {options.fgd_weights.name} (trained on {known['data']}): compare it only with "
        "distances by the same file, never with published ones"
    ]
    training = options.train
    settings = Settings(
        mean_speeds=_array(options.mean_speeds, (55,)),
        encoder=encoder,
        seams=None if options.seams is None else (options.seams[0], options.seams[1]),
        face_map=_array(options.face_map, (51, 103)),
        training=None if training is None else lambda: _training(training),
    )
    if settings.seams is not None and settings.seams[1] < 1:
        raise ConfigError(f"--seams needs a distance of at least 1 frame, got {settings.seams[1]}")
    return settings, notes


def _array(path: Path | None, shape: tuple[int, ...]) -> Floats | None:
    if path is None:
        return None
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"cannot read {path} as numbers of numpy (.npy): {error}") from error
    if not isinstance(found, np.ndarray) or found.shape != shape:
        raise ConfigError(f"{path}: expected an array {list(shape)}, got another shape")
    return np.asarray(found, np.float64)


def _training(folder: Path) -> Iterator[tuple[Floats, float]]:
    """One motion after the other: a training set is larger than memory."""
    for path in motion_files(folder).values():
        try:
            motion = read_motion(path)
        except GestureError:
            continue  # what is no motion was not trained on
        yield places_in_body(motion), float(motion.format.clock.frame_rate)


def _codes(
    model: Path | None, pairs: Sequence[TakePair], notes: list[str]
) -> dict[str, dict[str, Any]] | None:
    if model is None:
        notes.append("codes are null: no bundle was given (--model)")
        return None
    try:
        return code_usage(load_bundle_for_cli(model), [pair.made for pair in pairs])
    except ConfigError as error:
        notes.append(f"codes are null: {error}")
        return None


def table(numbers: dict[str, Any]) -> str:
    """The numbers for a terminal."""
    pred, gt, both = (numbers[side] for side in ("pred", "gt", "both"))
    lines = [f"{'':36} {'made':>10} {'true':>10}"]
    for name in (n for n in WHAT if n in pred or n in gt):
        lines.append(f"{name:36} {shown(pred.get(name)):>10} {shown(gt.get(name)):>10}")
    lines += [f"{name:36} {shown(both[name]):>10}" for name in WHAT if name in both]
    lines += [f"problem: {name}: {text}" for name, text in numbers["problems"]]
    lines += [f"note: {text}" for text in numbers["notes"]]
    return "\n".join(lines)


def pictures(pairs: Sequence[TakePair]) -> list[tuple[str, bytes]]:
    """Stick figures and wrist speeds of the first takes, and distributions over all of them."""
    result = []
    for pair in pairs[:_DRAWN]:
        rows = [("made", pair.made), ("true", pair.true)]
        speed = [(label, wrist_speed(m.world_positions(), pair.fps)) for label, m in rows]
        whole = np.linspace(0, len(pair.true) - 1, _POSES).astype(int).tolist()
        result += [
            (f"{pair.name}: speed of the faster wrist; speech is shaded",
             speeds_over_time(speed, pair.fps, pair.speaking)),
            (f"{pair.name}: its busiest {_STRIP_S:g} seconds",
             strips(rows, _busiest(speed[1][1], pair.fps))),
            (f"{pair.name}: evenly over the take", strips(rows, whole)),
        ]  # fmt: skip
    return [("All takes: speeds and heights of the wrists", _spread(pairs)), *result]


def _busiest(speed: Floats, fps: float) -> list[int]:
    """Frames of the stretch in which the wrists move most."""
    span = min(round(_STRIP_S * fps), len(speed))
    first = int(np.convolve(speed, np.ones(span), "valid").argmax())
    return [int(frame) for frame in np.linspace(first, first + span - 1, _POSES)]


def _spread(pairs: Sequence[TakePair]) -> bytes:
    kinds = [("made", [p.made for p in pairs]), ("true", [p.true for p in pairs])]
    fast, high, wide = [], [], []
    for label, motions in kinds:
        moved = [places_in_place(m)[:, WRISTS] for m in motions]
        steps = [np.diff(places(m)[:, WRISTS], axis=0) for m in motions]
        rates = [float(m.format.clock.frame_rate) for m in motions]
        speed = [np.linalg.norm(s, axis=-1).ravel() * r for s, r in zip(steps, rates, strict=True)]
        fast.append((label, np.concatenate(speed)))
        high.append((label, np.concatenate([m[..., 1].ravel() for m in moved])))
        apart = [np.linalg.norm(m[:, 0] - m[:, 1], axis=-1) for m in moved]
        wide.append((label, np.concatenate(apart)))
    return distributions(
        [
            ("wrist speed (m/s)", fast),
            ("wrist height, the body in place (m)", high),
            ("wrists apart (m)", wide),
        ]
    )
