"""Argument types of command lines: each value is checked once and refused in one clear line.

`CommandParser` is the parser of every command. Its arguments of type int, float and Path reject
values that int(), float() and Path() accept: digits of other scripts, infinity, names that no file
system allows.
"""

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from engine.errors import ConfigError
from exporters.address import Address, parse_address, parse_host
from exporters.commands.terminal import run_cli
from exporters.origin import parse_origin

SEEDS: Final = 2**64
"""Seeds are below this: they key a generator of 64 bits."""
LARGEST: Final = 2**63 - 1
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser with --debug that raises ConfigError for invalid arguments."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register("type", int, whole())
        self.register("type", float, positive_float)
        self.register("type", Path, path)
        # Suppressed, because a subcommand's default would replace an earlier value.
        self.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks"
        )

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError."""
        raise ConfigError(f"{message}; see {self.prog} --help")


def run_command(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None,
) -> int:
    """Parse `argv` (None: the program's own) and run; returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    return run_cli(lambda: run(parser.parse_args(given)), debug="--debug" in given)


def whole(least: int = 0, most: int = LARGEST) -> Callable[[str], int]:
    """A type for whole numbers in ASCII digits from `least` to `most`."""

    def convert(text: str) -> int:
        if _WHOLE.fullmatch(text) and least <= int(text) <= most:
            return int(text)
        limits = f"from {least} to {most}" if most != LARGEST else f"of at least {least}"
        raise argparse.ArgumentTypeError(f"expected a whole number {limits}, got {text!r}")

    return convert


def positive_float(text: str) -> float:
    """A finite number above 0."""
    if _NUMBER.fullmatch(text) and 0.0 < float(text) < math.inf:
        return float(text)
    raise argparse.ArgumentTypeError(f"expected a finite number above 0, got {text!r}")


def path(text: str) -> Path:
    """A path that the system can look up, existing or not."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    try:
        os.stat(text)
    except (FileNotFoundError, NotADirectoryError):
        pass  # the code that opens the path reports a missing one
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        shown = text if len(text) <= 100 else f"{text[:60]}...{text[-20:]}"
        raise argparse.ArgumentTypeError(f"{shown!r} cannot be used as a path: {reason}") from error
    return Path(text)


def address(text: str) -> Address:
    """HOST:PORT, :PORT, PORT or [IPv6]:PORT."""
    return _converted(parse_address, text)


def host(text: str) -> str:
    """A host's name or number."""
    return _converted(parse_host, text)


def origin(text: str) -> str:
    """The origin of a page, normalised, or null."""
    return _converted(parse_origin, text)


def number_in(text: str) -> int | None:
    """The number in a text of ASCII digits; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None


def _converted(convert: Callable[[str], Any], text: str) -> Any:
    try:
        return convert(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
