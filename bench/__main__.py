"""emage-bench: measure on this machine. The last line of output is one JSON object."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.latency import measure, read_speech
from exporters.commands.common import guarded
from exporters.commands.live import DEMO_SOUND


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="emage-bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    latency = commands.add_parser(
        "latency", help="audio-to-pose from outside, through standard input and a WebSocket"
    )
    latency.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    latency.add_argument("--seconds", type=float, default=60.0, metavar="S")
    latency.add_argument("rest", nargs="*", metavar="-- OPTION", help="options of emage-live")
    options = parser.parse_args(argv)
    return guarded(lambda: _latency(options))


def _latency(options: argparse.Namespace) -> int:
    sound = read_speech(options.wav, options.seconds)
    run = measure(sound, options.rest)
    print(json.dumps(run.summary(options.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
