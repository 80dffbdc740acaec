"""Files and folders are written atomically."""

import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest

import engine.system.atomic as module
from engine.system.atomic import atomic, remove_abandoned, write_bytes, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic(target) as part:
        part.write_text("whole")
        assert part.name == target.name
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_keeps_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("before")

    def write() -> None:
        with atomic(target) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert target.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("function", ["create", "_lock", "remove", "_unlock"])
def test_an_exception_on_any_line_leaves_no_temporary_file(tmp_path: Path, function: str) -> None:
    """A signal handler may raise between any two lines; tries all of them."""
    steps = 0
    while _interrupted(tmp_path / "a.txt", function, steps):
        assert set(names(tmp_path)) <= {"a.txt"}
        steps += 1
    assert steps > 1


def _interrupted(target: Path, function: str, step: int) -> bool:
    """Raise before line `step` executed in `function`; whether that line was reached."""
    left = step

    def trace(frame: FrameType, event: str, _arg: object) -> object:
        nonlocal left
        code = frame.f_code
        if code.co_name != function or code.co_filename != module.__file__:
            return trace if event == "call" else None
        if event == "line":
            left -= 1
            if left == -1:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        write_text(target, "whole")
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_a_folder_appears_with_all_its_files(tmp_path: Path) -> None:
    with atomic(tmp_path / "out") as part:
        part.mkdir()
        (part / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert names(tmp_path / "out") == ["a"]


def test_a_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("a" * 251 + ".txt"), "ü")
    assert (tmp_path / ("a" * 251 + ".txt")).read_bytes() == "ü".encode()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "no" / "a", b"1")


_WAITING_WRITER = """
import sys, pathlib, os
sys.path.insert(0, sys.argv[2])
from engine.system.atomic import atomic
with atomic(pathlib.Path(sys.argv[1]) / "a") as part:
    part.write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.posix
def test_only_temporary_files_of_dead_writers_are_removed(tmp_path: Path, root: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WAITING_WRITER, str(tmp_path), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    writers[0].kill()
    writers[0].communicate()
    assert len(names(tmp_path)) == 2
    remove_abandoned(tmp_path)
    assert len(names(tmp_path)) == 1
    writers[1].communicate(b"")
    assert writers[1].returncode == 0
    assert names(tmp_path) == ["a"]
