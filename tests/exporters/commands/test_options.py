"""Argument types: accepted values, and one clear line for any other."""

import argparse
import os
import re
from pathlib import Path

import pytest

from engine.errors import ConfigError
from exporters.commands.options import CommandParser, address, number_in, origin, run_command, whole
from exporters.commands.terminal import say


def parser() -> CommandParser:
    result = CommandParser(prog="try")
    result.add_argument("--count", type=int)
    result.add_argument("--seconds", type=float)
    result.add_argument("--file", type=Path)
    result.add_argument("--rate", type=whole(1, 240))
    result.add_argument("--to", type=address)
    result.add_argument("--site", type=origin)
    result.add_argument("--how", choices=("fast", "slow"))
    return result


def parsed(name: str, value: str) -> object:
    return getattr(parser().parse_args([f"--{name}", value]), name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", "0", 0),
        ("count", "+7", 7),
        ("count", "9223372036854775807", 2**63 - 1),
        ("seconds", "0.25", 0.25),
        ("seconds", "1e3", 1000.0),
        ("seconds", ".5", 0.5),
        ("rate", "240", 240),
        ("site", "https://Example.org/", "https://example.org"),
    ],
)
def test_values_are_read(name: str, value: str, expected: object) -> None:
    assert parsed(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("count", v) for v in ("-1", "²", "٣", "1_0", "", " ", "1.0", "x", "9" * 5000)),
        *(("count", v) for v in ("9223372036854775808", "inf", "0x10")),
        *(
            ("seconds", v)
            for v in ("inf", "nan", "-1", "0", "1e400", "1e-400", "٣", "1_0", "", "x")
        ),
        *(("seconds", v) for v in ("-inf", "Infinity", "1,5", "²")),
        *(("rate", v) for v in ("0", "241", "-5")),
        *(("file", v) for v in ("", "a" * 300, "a\0b", "/".join(["a" * 200] * 30))),
        *(("to", v) for v in ("my..host:80", "host:65536", "host:²", "b" * 70 + ".org:80")),
        *(("site", v) for v in ("example.org", "https://example.org/page")),
        *(("how", "middling"), ("nothing", "1")),
    ],
)
def test_invalid_values_are_refused_with_option_and_value(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parser().parse_args([f"--{name}={value}"])
    message = str(refused.value)
    assert f"--{name}" in message
    assert message.endswith("see try --help")
    assert "\n" not in message


@pytest.mark.posix
def test_a_name_that_is_not_utf8_is_a_path() -> None:
    name = os.fsdecode(b"b\xe9te.wav")
    assert parsed("file", name) == Path(name)


@pytest.mark.posix
def test_links_that_go_round_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(ConfigError, match="cannot be used as a path"):
        parsed("file", str(tmp_path / "a"))


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("²", None), ("٣", None), ("x", None), ("9" * 5000, None)]
)
def test_numbers_among_names(text: str, number: int | None) -> None:
    assert number_in(text) == number


def test_a_command_ends_in_one_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    def run(options: argparse.Namespace) -> int:
        say(f"count {options.count}")
        return 0

    assert run_command(parser(), run, ["--count", "3"]) == 0
    assert capsys.readouterr().out == "count 3\n"
    assert run_command(parser(), run, ["--count", "-3"]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"error: argument --count: expected a whole number .*\n", error)


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def run(options: argparse.Namespace) -> int:
        raise ZeroDivisionError("by nothing")

    assert run_command(parser(), run, []) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "unexpected ZeroDivisionError: by nothing; run again with --debug" in error
    assert run_command(parser(), run, ["--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_debug_is_known_before_and_after_a_subcommand() -> None:
    whole_parser = CommandParser(prog="try")
    whole_parser.add_subparsers().add_parser("show")
    for argv in (["--debug", "show"], ["show", "--debug"]):
        assert whole_parser.parse_args(argv).debug is True
    assert not hasattr(whole_parser.parse_args(["show"]), "debug")
