"""Finding and importing a third-party program, with a small one."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.export.random_checkpoints import Sizes
from bench.quality.published_text import (
    FOLDER,
    ReferenceText,
    missing_libraries,
    program_modules,
    text_program,
)
from engine.errors import ConfigError

SOURCES = {
    "test_demo.py": "import a_library_nobody_has\nfrom another_one.deep import Thing\n"
    "from utils import helper\nmade = Thing(1, two=2)\n",
    "utils/helper.py": "import json\nVALUE = 7\n",
}


def write_program(root: Path) -> Path:
    for name, text in SOURCES.items():
        path = root / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / FOLDER


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *author, *arguments], check=True, capture_output=True)


def test_the_program_is_taken_from_the_checkout(tmp_path: Path) -> None:
    write_program(tmp_path)
    assert text_program(tmp_path, tmp_path / "scratch") == tmp_path / FOLDER


def test_a_removed_program_is_taken_from_history(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    write_program(checkout)
    git(checkout, "init")
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "program")
    git(checkout, "rm", "-r", FOLDER)
    git(checkout, "commit", "-m", "new code base")
    found = text_program(checkout, tmp_path / "scratch")
    assert found == tmp_path / "scratch" / FOLDER
    assert {
        str(path.relative_to(found)): path.read_text() for path in found.rglob("*.py")
    } == SOURCES


def test_a_folder_without_the_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a git checkout"):
        text_program(tmp_path, tmp_path / "scratch")
    git(tmp_path, "init")
    (tmp_path / "README").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "nothing")
    with pytest.raises(ConfigError, match=f"has no {FOLDER}, nor does its history"):
        text_program(tmp_path, tmp_path / "scratch")


def test_missing_libraries_are_stubs_and_unloaded_afterwards(tmp_path: Path) -> None:
    program = write_program(tmp_path)
    assert missing_libraries(program) == {"a_library_nobody_has", "another_one"}
    before, path = set(sys.modules), list(sys.path)
    with program_modules(program):
        import test_demo  # type: ignore[import-not-found]

        assert test_demo.helper.VALUE == 7
        assert test_demo.made is not None
    assert sys.path == path
    new = set(sys.modules) - before
    assert not new & {"test_demo", "utils", "utils.helper", "a_library_nobody_has", "another_one"}


def test_a_program_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    program = write_program(tmp_path)
    (program / "test_demo.py").write_text("raise OSError('no such device')\n")
    with pytest.raises(ConfigError, match="does not start: OSError"):
        ReferenceText(program, tmp_path, Sizes(), tmp_path)
