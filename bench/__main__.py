"""emage-bench: measure on this machine. The last line of output is one JSON object."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.held_out import stroke_report
from bench.latency import measure, read_speech
from bench.report import draw
from engine.bundle import DEFAULT_BUNDLE, load_bundle
from engine.text.files import read_words
from exporters.commands.common import guarded, load_for_use
from exporters.commands.live import DEMO_SOUND, DEMO_WORDS


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parser().parse_args(argv)
    run = {"latency": _latency, "figures": _figures, "strokes": _strokes}[options.command]
    return guarded(run, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="emage-bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    latency = commands.add_parser(
        "latency", help="audio-to-pose from outside, through standard input and a WebSocket"
    )
    latency.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    latency.add_argument("--seconds", type=float, default=60.0, metavar="S")
    latency.add_argument("rest", nargs="*", metavar="-- OPTION", help="options of emage-live")
    figures = commands.add_parser("figures", help="the pictures in README")
    figures.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    figures.add_argument("--words", type=Path, default=DEMO_WORDS, metavar="FILE")
    figures.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    figures.add_argument("--out", type=Path, default=Path("bench/figures"), metavar="DIR")
    strokes = commands.add_parser(
        "strokes", help="gestures against the stresses of held-out synthetic speech"
    )
    strokes.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    strokes.add_argument("--minutes", type=float, default=10.0, metavar="M")
    strokes.add_argument("--seed", type=int, default=0, metavar="N")
    return parser


def _latency(options: argparse.Namespace) -> int:
    sound = read_speech(options.wav, options.seconds)
    run = measure(sound, options.rest)
    print(json.dumps(run.summary(options.seconds)))
    return 0


def _strokes(options: argparse.Namespace) -> int:
    bundle = load_for_use(options.model)
    print(json.dumps(stroke_report(bundle, options.minutes * 60, options.seed)))
    return 0


def _figures(options: argparse.Namespace) -> int:
    bundle = load_bundle(options.model)
    draw(bundle, options.wav, options.out, read_words(options.words))
    print(json.dumps({"bundle": bundle.config.name, "out": str(options.out)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
