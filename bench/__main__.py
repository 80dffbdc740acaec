"""emage-bench: measure on this machine. The last line of output is one JSON object."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.against import add_command as add_against_command
from bench.against import against_command
from bench.composed import add_command as add_composed_command
from bench.composed import composed_command
from bench.edge import edge_report
from bench.edge import table as edge_table
from bench.export import add_command as add_export_command
from bench.export import export_command
from bench.held_out import stroke_report
from bench.kernels import add_command as add_kernels_command
from bench.kernels import kernels_command
from bench.latency import add_command as add_latency_command
from bench.latency import latency_command, read_speech
from bench.memory import add_command as add_memory_command
from bench.memory import memory_command
from bench.parity import add_command as add_parity_command
from bench.parity import parity_command
from bench.quality_command import add_commands as add_quality_commands
from bench.quality_command import fgd_command, quality_command
from bench.report import draw
from bench.sheet import add_command as add_sheet_command
from bench.sheet import sheet_command
from bench.soak import add_command as add_soak_command
from bench.soak import soak_command
from bench.starter.command import add_command as add_starter_command
from bench.starter.command import starter_command
from bench.streams import add_command as add_streams_command
from bench.streams import streams_command
from engine.bundle import DEFAULT_BUNDLE, load_bundle
from engine.text.files import read_words
from exporters.commands.common import guarded, load_for_use
from exporters.commands.live import DEMO_SOUND, DEMO_WORDS


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parser().parse_args(argv)
    return guarded(_COMMANDS[options.command], options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="emage-bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_latency_command(commands)
    figures = commands.add_parser("figures", help="the pictures in README")
    figures.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    figures.add_argument("--words", type=Path, default=DEMO_WORDS, metavar="FILE")
    figures.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    figures.add_argument("--out", type=Path, default=Path("bench/figures"), metavar="DIR")
    figures.add_argument(
        "--clips", type=Path, metavar="DIR", help="folder of stage retarget: a row of the composer"
    )
    figures.add_argument(
        "--take", type=Path, metavar="FILE", help="motion recorded with --wav: a row of it"
    )
    strokes = commands.add_parser(
        "strokes", help="gestures against the stresses of held-out synthetic speech"
    )
    strokes.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    strokes.add_argument("--minutes", type=float, default=10.0, metavar="M")
    strokes.add_argument("--seed", type=int, default=0, metavar="N")
    edge = commands.add_parser(
        "edge", help="what the live edge costs: the newest frames against a known future"
    )
    edge.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    edge.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    edge.add_argument("--seconds", type=float, default=20.0, metavar="S")
    edge.add_argument("--hop", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N")
    add_against_command(commands)
    add_parity_command(commands)
    add_quality_commands(commands)
    add_composed_command(commands)
    add_sheet_command(commands)
    add_kernels_command(commands)
    add_export_command(commands)
    add_streams_command(commands)
    add_starter_command(commands)
    add_memory_command(commands)
    add_soak_command(commands)
    return parser


def _strokes(options: argparse.Namespace) -> int:
    bundle = load_for_use(options.model)
    print(json.dumps(stroke_report(bundle, options.minutes * 60, options.seed)))
    return 0


def _figures(options: argparse.Namespace) -> int:
    bundle = load_bundle(options.model)
    words = read_words(options.words)
    draw(bundle, options.wav, options.out, words, options.clips, options.take)
    print(json.dumps({"bundle": bundle.config.name, "out": str(options.out)}))
    return 0


def _edge(options: argparse.Namespace) -> int:
    bundle = load_for_use(options.model)
    sound = read_speech(options.wav, options.seconds)
    reports = [edge_report(bundle, sound, hop) for hop in options.hop]
    print(edge_table(reports))
    print(json.dumps({"bundle": bundle.config.name, "hops": [asdict(r) for r in reports]}))
    return 0


_COMMANDS = {
    "latency": latency_command,
    "figures": _figures,
    "strokes": _strokes,
    "edge": _edge,
    "against": against_command,
    "parity": parity_command,
    "quality": quality_command,
    "fgd": fgd_command,
    "composed": composed_command,
    "sheet": sheet_command,
    "kernels": kernels_command,
    "export": export_command,
    "streams": streams_command,
    "starter": starter_command,
    "memory": memory_command,
    "soak": soak_command,
}


if __name__ == "__main__":
    sys.exit(main())
