"""emage-bundle: convert published checkpoints to bundles, and describe either."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.bundle.checkpoints.load import load_model
from engine.bundle.checkpoints.load_report import LoadReport
from engine.bundle.checkpoints.vocabulary import BY_INDEX, unpickle_vocabulary
from engine.bundle.io import CONFIG_FILE, DEFAULT_BUNDLE, Bundle, save_bundle
from engine.errors import ConfigError, ExportError
from engine.generate.schedule import Schedule
from engine.postprocess.chain import PostProcessConfig
from engine.postprocess.one_euro import OneEuroConfig
from engine.system.atomic import write_text
from engine.system.version import version_line
from exporters.commands.common import say
from exporters.commands.options import CommandParser, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `emage-bundle`; returns the exit status."""
    return run_command(_parser(), lambda options: int(options.run(options)), argv)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="emage-bundle", description=__doc__)
    parser.add_argument("--version", action="version", version=version_line())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    convert = commands.add_parser("convert", help="write a published checkpoint as a bundle")
    convert.add_argument("directory", type=Path, metavar="DIR", help="checkpoint, as published")
    convert.add_argument("-o", "--out", type=Path, required=True, metavar="BUNDLE")
    convert.add_argument("--half", action="store_true", help="weights as 16 bit floats")
    convert.set_defaults(run=_convert)
    vocab = commands.add_parser("vocab", help="write a pickled vocabulary as JSON, running nothing")
    vocab.add_argument("pickle", type=Path, metavar="PKL")
    vocab.add_argument("-o", "--out", type=Path, required=True, metavar="JSON")
    vocab.set_defaults(run=_vocab)
    show = commands.add_parser("show", help="sizes, licence and schedules of a model")
    show.add_argument("directory", type=Path, nargs="?", default=DEFAULT_BUNDLE, metavar="DIR")
    show.set_defaults(run=_show)
    return parser


def _convert(options: argparse.Namespace) -> int:
    if (options.directory / CONFIG_FILE).is_file():
        raise ConfigError(f"{options.directory} is a bundle already; copy it")
    if options.out.resolve() == options.directory.resolve():
        raise ConfigError(f"{options.out} is the checkpoint itself; choose another folder")
    bundle = load_model(options.directory, _print_report)
    try:
        save_bundle(bundle, options.out, half=options.half)
    except OSError as error:
        raise ExportError(f"{options.out} cannot be written ({error})") from error
    say(f"written: {options.out}")
    return 0


def _print_report(report: LoadReport) -> None:
    for line in report.lines():
        say(line)


def _vocab(options: argparse.Namespace) -> int:
    words = unpickle_vocabulary(options.pickle)
    text = json.dumps({BY_INDEX: dict(sorted(words.items()))}, ensure_ascii=False, indent=1)
    try:
        write_text(options.out, text + "\n")
    except OSError as error:
        raise ExportError(f"{options.out} cannot be written ({error})") from error
    say(f"{options.out}: {len(words)} words")
    return 0


def _show(options: argparse.Namespace) -> int:
    for line in _description(load_model(options.directory)):
        say(line)
    return 0


def _description(bundle: Bundle) -> list[str]:
    config = bundle.config
    gesture = config.gesture
    books = (f"{part} {vae.codes} x {vae.code_dim}" for part, vae in config.parts.items())
    return [
        f"name: {config.name}",
        f"parameters: {_parameters(bundle)}",
        f"input: {config.front_end}, {len(config.vocabulary)} words",
        f"widths: layers {gesture.width}, audio {gesture.audio.width}, "
        f"motion {gesture.motion.width}",
        f"codebooks: {', '.join(books)}",
        f"speakers: {', '.join(config.speakers)}",
        f"face: {config.face}; hands relative to: {config.hand_reference}",
        f"post-processing: {_postprocess(config.postprocess)}",
        f"smoothing of upper body and hands: {_one_euro(config.postprocess.one_euro)}",
        f"schedule: {_schedule(config.schedule)}",
        f"schedule of whole files: {_schedule(config.file_schedule)}",
        f"licence: {config.provenance.licence}",
        f"data: {', '.join(config.provenance.data)}",
        *(f"note: {note}" for note in config.provenance.notes),
    ]


def _one_euro(steady: OneEuroConfig | None) -> str:
    if steady is None:
        return "no"
    filtered = f"from {steady.min_cutoff_hz:g} Hz at rest, {steady.beta:g} Hz more a rad/s"
    return f"{filtered}, gestures {1.0 + steady.amplitude_gain:g} times as large"


def _postprocess(config: PostProcessConfig) -> str:
    found = []
    if config.blinks is not None:
        found.append(f"{config.blinks.per_minute:g} blinks a minute")
    if config.gaze is not None:
        found.append(f"glances, {config.gaze.away_share:.0%} of them away")
    if config.idle is not None:
        found.append(f"{config.idle.amount:g} x a speaker's sway")
    if config.posture is not None:
        found.append(f"posture of {', '.join(config.posture.offsets_deg)}")
    if config.stance is not None:
        feet, hips = config.stance.foot_offset_m, config.stance.hip_raise_m
        found.append(f"feet {feet:g} m aside, hips {hips:g} m up")
    return ", ".join(found) or "nothing"


def _parameters(bundle: Bundle) -> str:
    counts = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in bundle.modules().items()
    }
    gesture = counts.pop("gesture")
    return f"{gesture / 1e6:.1f} M gesture model, {sum(counts.values()) / 1e6:.1f} M autoencoders"


def _schedule(schedule: Schedule) -> str:
    whole = ", decoded at the end" if schedule.files is not None else ""
    return (
        f"window {schedule.window}, seed {schedule.seed}, hop {schedule.hop}, "
        f"lookahead {schedule.lookahead}{whole}"
    )


if __name__ == "__main__":
    sys.exit(main())
