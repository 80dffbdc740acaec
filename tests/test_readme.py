"""README.md says what the programs do: every option is told, and no option is invented."""

import argparse
import re
from pathlib import Path

import pytest

from bench import __main__ as bench
from engine.events import ALL_EVENTS
from exporters.commands import live
from exporters.wire import AUDIO_HEADER, COMMANDS, FRAME_HEADER

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Options of other programs that README shows: emage-render, emage-train, ruff, pip and pytest.
OTHERS = {"--schedule", "--config", "--data", "--out", "--check", "--bare"}


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    actions = parser._actions
    return {name for action in actions for name in action.option_strings if name != "--help"}


def bench_options() -> set[str]:
    """Options of all subcommands of emage-bench."""
    (commands,) = (a for a in bench._parser()._actions if isinstance(a.choices, dict))
    return set().union(*(options_of(parser) for parser in commands.choices.values()))


def test_every_option_of_emage_live_is_told_and_none_is_invented() -> None:
    told = set(re.findall(r"--[a-z][a-z-]+", README))
    real = {name for name in options_of(live._parser()) if name.startswith("--")}
    assert real - told == set()
    assert told - real - OTHERS - bench_options() == set()


@pytest.mark.parametrize("event", ALL_EVENTS)
def test_every_event_is_told(event: str) -> None:
    assert f"| `{event}` |" in README


@pytest.mark.parametrize("name", [*COMMANDS, "subscribe", "audio", "words"])
def test_every_message_of_a_client_is_told(name: str) -> None:
    assert f'{{"type": "{name}"' in README


def test_the_headers_are_the_real_ones() -> None:
    for header in (FRAME_HEADER, AUDIO_HEADER):
        assert f"`{header.format}`" in README
    assert f"The header has {FRAME_HEADER.size} bytes" in README


def test_files_that_are_named_exist() -> None:
    named = re.findall(r"\b(?:engine|exporters|training|bench|tests)/[\w./-]*\w", README)
    pictures = {name for name in named if name.startswith("bench/figures/")}
    assert len(pictures) == 4
    assert all((ROOT / name).is_file() for name in pictures)
    missing = [name for name in set(named) - pictures if not (ROOT / name).exists()]
    assert not missing
