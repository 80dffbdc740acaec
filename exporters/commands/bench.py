"""emage-bench: measure on this machine. The measurements live in the source checkout's bench/."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from engine.system.version import version_line
from exporters.commands.terminal import EXIT_ERROR, complain


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `emage-bench`; hands over to the `bench` package beside `exporters`."""
    checkout = Path(__file__).resolve().parents[2]
    if find_spec("bench") is None and (checkout / "bench" / "__main__.py").is_file():
        sys.path.append(str(checkout))
    if find_spec("bench") is None:
        _print_version(argv)
        complain(
            "error: emage-bench needs a source checkout; clone the repository and install it with "
            "pip install -e ."
        )
        return EXIT_ERROR
    from bench.__main__ import main as bench_main

    return bench_main(argv)


def _print_version(argv: Sequence[str] | None) -> None:
    """Print the version and exit if requested, without a checkout."""
    parser = argparse.ArgumentParser(prog="emage-bench", add_help=False)
    parser.add_argument("--version", action="version", version=version_line())
    parser.parse_known_args(argv)
