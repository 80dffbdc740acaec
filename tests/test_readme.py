"""README and docs agree with the code: options, commands, messages, events, file names."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

import training.__main__ as train
from bench import __main__ as bench
from engine.events import ALL_EVENTS
from exporters.commands import bundle, live, render
from exporters.wire import AUDIO_HEADER, COMMANDS, FRAME_HEADER
from tests.support.audio import babble

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "changelog.md"
) + [path for path in (ROOT / "training" / "README.md",) if path.is_file()]
# Options of ruff, mkdocs, pytest and ray.
OTHER_OPTIONS = {"--check", "--strict", "--bare", "--head", "--address"}
# Placeholders in commands, with a valid value.
VALUES = {
    "HOST:PORT": "127.0.0.1:39539",
    "[HOST:]PORT": "8765",
    "PORT": "8765",
    "HZ": "16000",
    "N": "1",
    "S": "1",
    "M": "1",
    "KIND": "bvh",
    "NAME": "eager",
}
PROGRAMS = ("emage-live", "emage-render", "emage-bundle", "emage-train", "emage-bench")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def render_parser(monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """Parser of emage-render, captured from `main`, which builds it."""
    found: list[argparse.ArgumentParser] = []
    with monkeypatch.context() as patch:
        patch.setattr(render, "run_command", lambda parser, *_: found.append(parser) or 0)
        render.main([])
    return found[0]


@pytest.fixture
def parsers(monkeypatch: pytest.MonkeyPatch) -> dict[str, argparse.ArgumentParser]:
    return {
        "emage-live": live._parser(),
        "emage-render": render_parser(monkeypatch),
        "emage-bundle": bundle._parser(),
        "emage-train": train._parser(),
        "emage-bench": bench._parser(),
    }


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    choices = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
    return choices[0] if choices else {}


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    own = {name for action in parser._actions for name in action.option_strings}
    return own.union(*map(options_of, subcommands(parser).values()))


def fenced(page: str) -> Iterator[str]:
    """Commands of the project's programs in code blocks, without comments and folder."""
    for block in re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"; | && ", line):
                yield from re.findall(r"^(?:\.venv/bin/)?(emage-\S+.*?)(?:\s+#.*)?$", command)


def inline(page: str) -> Iterator[str]:
    """Code spans that mention a program of the project with a command or options."""
    prose = re.sub(r"^```.*?^```", "", page, flags=re.M | re.S)
    yield from re.findall(r"`(emage-\w+ [^`]+)`", prose)


def commands() -> list[tuple[str, str]]:
    pages = [(p.relative_to(ROOT).as_posix(), p.read_text("utf-8")) for p in PAGES]
    return [(name, command) for name, page in pages for command in fenced(page)]


def mentions() -> list[tuple[str, str]]:
    pages = [(p.relative_to(ROOT).as_posix(), p.read_text("utf-8")) for p in PAGES]
    return [(name, command) for name, page in pages for command in inline(page)]


def arguments(command: str) -> list[str]:
    """Arguments of a command, with values for placeholders and shell variables."""
    words = shlex.split(re.sub(r"\$(\w+)", r"\1", command))
    return [VALUES.get(word, word) for word in words]


@pytest.mark.parametrize(("page", "command"), commands())
def test_commands_can_be_parsed(
    page: str, command: str, parsers: dict[str, argparse.ArgumentParser]
) -> None:
    program, *given = arguments(command)
    if {"--version", "--help"} & set(given):
        return
    parsers[program].parse_args(given)


@pytest.mark.parametrize(("page", "command"), mentions())
def test_mentioned_commands_and_options_exist(
    page: str, command: str, parsers: dict[str, argparse.ArgumentParser]
) -> None:
    program, *given = command.split(" -- ")[0].split()
    parser = parsers[program]
    known = subcommands(parser) or {
        str(name): parser for a in parser._actions if a.dest == "stage" for name in a.choices or ()
    }
    if known and given[0] not in ("STAGE", "COMMAND") and not given[0].startswith("-"):
        assert given[0] in known
        parser = known[given[0]]
    used = {word for word in given if word.startswith("--")}
    assert used <= options_of(parser)


def test_every_option_of_emage_live_and_emage_render_is_documented(
    parsers: dict[str, argparse.ArgumentParser],
) -> None:
    page = text("docs/cli.md")
    for program in ("emage-live", "emage-render", "emage-bundle"):
        options = {name for name in options_of(parsers[program]) if name.startswith("--")}
        missing = {name for name in options - {"--help"} if f"`{name}" not in page}
        assert missing - {"--half", "--out"} == set(), program
    assert {"--half", "--out"} <= set(re.findall(r"--[a-z-]+", page))


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_documented_options_exist(path: Path, parsers: dict[str, argparse.ArgumentParser]) -> None:
    page = re.sub(r"python -m [^`\n]*", "", path.read_text("utf-8"))
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", page))
    assert used - set().union(*map(options_of, parsers.values())) - OTHER_OPTIONS == set()


@pytest.mark.parametrize("event", ALL_EVENTS)
def test_every_event_is_documented(event: str) -> None:
    assert f"| `{event}` |" in text("docs/cli.md")


@pytest.mark.parametrize("name", [*COMMANDS, "subscribe", "audio", "words"])
def test_every_client_message_is_documented(name: str) -> None:
    assert f'{{"type": "{name}"' in text("docs/protocols/websocket.md")


def test_documented_headers_are_those_of_the_protocol() -> None:
    page = text("docs/protocols/websocket.md")
    for header in (FRAME_HEADER, AUDIO_HEADER):
        assert f"`{header.format}`" in page
    assert f"The header has {FRAME_HEADER.size} bytes" in page


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_mentioned_files_exist(path: Path) -> None:
    page = path.read_text("utf-8")
    named = set(re.findall(r"`((?:engine|exporters|training|bench|tests|docs)/[\w./-]*)`", page))
    templates = {"engine/kernels/NAME.py", "exporters/NAME.py", "tests/engine/kernels/test_NAME.py"}
    missing = [name for name in named - templates if not (ROOT / name).exists()]
    assert not missing


def test_readme_and_its_picture_are_small() -> None:
    assert len(text("README.md").splitlines()) <= 150
    (picture,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text("README.md"))
    assert (ROOT / picture).stat().st_size <= 4e6
    assert (ROOT / picture).read_bytes()[8:12] == b"WEBP"


def test_readme_example_imports_public_names() -> None:
    import engine

    (names,) = re.findall(r"^from engine import (.+)$", text("README.md"), re.M)
    assert set(names.split(", ")) <= set(engine.__all__)


@pytest.mark.parametrize("name", ["README.md", "docs/python.md"])
def test_python_example_runs(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = re.findall(r"^```python\n(.*?)^```", text(name), re.M | re.S)[0]
    soundfile.write(tmp_path / "speech.wav", babble(1.0), 16000)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, name, "exec"), names)
    printed = len(capsys.readouterr().out.splitlines())
    rest = names["rest"]
    assert isinstance(rest, list)
    assert printed + sum(map(len, rest)) == 30
