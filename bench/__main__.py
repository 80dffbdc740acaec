"""emage-bench: measure on this machine. The last line of output is one JSON object."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.export.export import add_command as add_export_command
from bench.export.export import export_command
from bench.perf.capacity import add_command as add_capacity_command
from bench.perf.capacity import capacity_command
from bench.perf.kernels import add_command as add_kernels_command
from bench.perf.kernels import kernels_command
from bench.perf.latency import add_command as add_latency_command
from bench.perf.latency import latency_command, read_speech
from bench.perf.memory import add_command as add_memory_command
from bench.perf.memory import memory_command
from bench.perf.privacy import add_command as add_privacy_command
from bench.perf.privacy import privacy_command
from bench.perf.reference import add_command as add_reference_command
from bench.perf.reference import reference_command
from bench.perf.soak import add_command as add_soak_command
from bench.perf.soak import soak_command
from bench.plots.contact_sheet import add_command as add_sheet_command
from bench.plots.contact_sheet import sheet_command
from bench.plots.readme_figures import draw
from bench.quality.command import add_commands as add_quality_commands
from bench.quality.command import fgd_command, quality_command
from bench.quality.corpus_comparison import add_command as add_corpus_command
from bench.quality.corpus_comparison import corpus_command
from bench.quality.late_words import late_table, late_words
from bench.quality.lookahead import edge_report
from bench.quality.lookahead import table as edge_table
from bench.quality.parity import add_command as add_parity_command
from bench.quality.parity import parity_command
from bench.quality.sync_test import stroke_report
from bench.record import record
from bench.starter.command import add_command as add_starter_command
from bench.starter.command import starter_command
from bench.starter.speech_set import Part, limited, read_parts, synthetic_parts
from engine.bundle.io import DEFAULT_BUNDLE, DEMO_SOUND, DEMO_WORDS, load_bundle
from engine.system.version import version_line
from engine.text.files import read_words
from exporters.commands.common import load_bundle_for_cli
from exporters.commands.options import CommandParser, run_command, whole

_LATE_UTTERANCES = 8  # of each reader


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    return run_command(_parser(), lambda options: _run(options, given), given)


def _run(options: argparse.Namespace, given: Sequence[str]) -> int:
    def command() -> int:
        return _COMMANDS[options.command](options)

    if not options.record:
        return command()
    arguments = given[list(given).index(options.command) + 1 :]
    return record(options.command, arguments, command)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="emage-bench", description=__doc__)
    parser.add_argument("--version", action="version", version=version_line())
    parser.add_argument(
        "--record", action="store_true", help="write the figures to a file in bench/results"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add_latency_command(commands)
    add_privacy_command(commands)
    figures = commands.add_parser("figures", help="the pictures in README")
    figures.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    figures.add_argument("--words", type=Path, default=DEMO_WORDS, metavar="FILE")
    figures.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    figures.add_argument("--out", type=Path, default=Path("docs/figures"), metavar="DIR")
    figures.add_argument(
        "--clips", type=Path, metavar="DIR", help="folder of stage retarget: a row of the composer"
    )
    figures.add_argument(
        "--take", type=Path, metavar="FILE", help="motion recorded with --wav: a row of it"
    )
    _add_strokes_command(commands)
    edge = commands.add_parser(
        "lookahead", help="what the live edge costs: the newest frames against a known future"
    )
    edge.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    edge.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    edge.add_argument("--seconds", type=float, default=20.0, metavar="S")
    edge.add_argument("--hop", type=whole(1), nargs="+", default=[1, 2, 4, 8], metavar="N")
    add_reference_command(commands)
    add_parity_command(commands)
    add_quality_commands(commands)
    add_corpus_command(commands)
    add_sheet_command(commands)
    add_kernels_command(commands)
    add_export_command(commands)
    add_capacity_command(commands)
    add_starter_command(commands)
    add_memory_command(commands)
    add_soak_command(commands)
    return parser


def _add_strokes_command(commands: Any) -> None:
    strokes = commands.add_parser(
        "sync", help="gestures against the stresses of held-out synthetic speech"
    )
    strokes.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    strokes.add_argument("--minutes", type=float, default=10.0, metavar="M")
    strokes.add_argument("--seed", type=int, default=0, metavar="N")
    strokes.add_argument(
        "--late",
        type=float,
        nargs="+",
        metavar="S",
        help="instead: with no words, words known ahead, and words known so many seconds after "
        "their end",
    )
    for name in ("--speech", "--beat2"):
        strokes.add_argument(
            name, type=Path, metavar="DIR", help="with --late: the voices of `starter`"
        )


def _strokes(options: argparse.Namespace) -> int:
    bundle = load_bundle_for_cli(options.model)
    if options.late:
        parts = _late_parts(options)
        rows = late_words(bundle, parts, options.late)
        print(late_table(rows))
        seconds = round(sum(part.speech.duration for part in parts), 1)
        report = {"bundle": bundle.config.name, "speech_s": seconds, "words": rows}
        print(json.dumps(report))
        return 0
    print(json.dumps(stroke_report(bundle, options.minutes * 60, options.seed)))
    return 0


def _late_parts(options: argparse.Namespace) -> list[Part]:
    """Voices with words: those of the folders that are given, else synthetic ones of the test."""
    seconds = options.minutes * 60
    if options.speech is None and options.beat2 is None:
        return limited(synthetic_parts(seconds), seconds)
    parts = read_parts(options.speech, options.beat2, _LATE_UTTERANCES)
    return limited([part for part in parts if part.told], seconds)


def _figures(options: argparse.Namespace) -> int:
    bundle = load_bundle(options.model)
    words = read_words(options.words)
    draw(bundle, options.wav, options.out, words, options.clips, options.take)
    print(json.dumps({"bundle": bundle.config.name, "out": str(options.out)}))
    return 0


def _edge(options: argparse.Namespace) -> int:
    bundle = load_bundle_for_cli(options.model)
    sound = read_speech(options.wav, options.seconds)
    reports = [edge_report(bundle, sound, hop) for hop in options.hop]
    print(edge_table(reports))
    print(json.dumps({"bundle": bundle.config.name, "hops": [asdict(r) for r in reports]}))
    return 0


_COMMANDS = {
    "latency": latency_command,
    "figures": _figures,
    "sync": _strokes,
    "lookahead": _edge,
    "reference": reference_command,
    "parity": parity_command,
    "quality": quality_command,
    "fgd": fgd_command,
    "corpus": corpus_command,
    "contact-sheet": sheet_command,
    "kernels": kernels_command,
    "export": export_command,
    "capacity": capacity_command,
    "starter": starter_command,
    "memory": memory_command,
    "privacy": privacy_command,
    "soak": soak_command,
}


if __name__ == "__main__":
    sys.exit(main())
