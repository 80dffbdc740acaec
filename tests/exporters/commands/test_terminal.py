"""Console output raises nothing, and every exception becomes one line and a status."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import ConfigError
from exporters.commands.terminal import Output, complain, error_line, run_cli, say


def narrow(encoding: str) -> tuple[io.BytesIO, io.TextIOWrapper]:
    raw = io.BytesIO()
    return raw, io.TextIOWrapper(raw, encoding)


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("ascii", "日本.wav", rb"\u65e5\u672c.wav"),
        ("cp1252", "Mikrofón ☕", b"Mikrof\xf3n \\u2615"),
        ("utf-8", os.fsdecode(b"b\xe9te") if os.name == "posix" else "b\udce9te", rb"b\udce9te"),
    ],
)
def test_unprintable_characters_are_escaped(
    monkeypatch: pytest.MonkeyPatch, encoding: str, text: str, shown: bytes
) -> None:
    raw, stream = narrow(encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    say(text)
    assert raw.getvalue().rstrip() == shown


def test_closed_outputs_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        say("nobody sees this")
        complain("nor this")
        assert run_cli(lambda: 0) == 0
        assert run_cli(lambda: 3) == 3


def test_attributes_of_the_stream_are_available() -> None:
    _, stream = narrow("ascii")
    assert Output(stream).encoding == "ascii"
    assert Output(stream).isatty() is False


def test_an_exception_is_one_line_and_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: BaseException) -> int:
        raise error

    missing = FileNotFoundError(2, "No such file or directory", "a.wav")
    for error, line in (
        (ConfigError("expected this, got that"), "error: expected this, got that"),
        (ConfigError("choose one:\na\nb"), "error: choose one: a, b"),
        (ZeroDivisionError("x\ny"), "error: unexpected ZeroDivisionError: x y; run again with "),
        (missing, "error: the system refused a file, an address or a device: [Errno 2] No such"),
        (UnicodeError("no"), "error: text cannot be converted (no)"),
    ):
        assert run_cli(fail, error) == 2
        shown = capsys.readouterr().err
        assert shown.startswith(line)
        assert shown.count("\n") == 1
    assert run_cli(fail, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_an_error_of_another_library_is_not_a_page() -> None:
    assert len(error_line(RuntimeError("long " * 1000))) < 600


_TALK = """
import sys
sys.path.insert(0, sys.argv[1])
from exporters.commands.terminal import run_cli, say
def talk():
    for k in range(20000):
        say(f"line {k}")
        print("printed", k)
    return int(sys.argv[2])
sys.exit(run_cli(talk))
"""


def talk(root: Path, status: int, redirect: str) -> subprocess.CompletedProcess[str]:
    command = f'{{ "$0" -c "$1" "$2" {status}; echo $? >&2; }} {redirect}'
    return subprocess.run(
        ["sh", "-c", command, sys.executable, _TALK, str(root)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.posix
@pytest.mark.parametrize("status", [0, 2])
@pytest.mark.parametrize("redirect", ["| head -1 > /dev/null", ">&-"])
def test_work_continues_after_a_closed_pipe_and_keeps_its_status(
    root: Path, status: int, redirect: str
) -> None:
    assert talk(root, status, redirect).stderr == f"{status}\n"


@pytest.mark.linux
def test_a_full_disk_behind_the_output_is_an_error(root: Path) -> None:
    shown = talk(root, 0, "> /dev/full").stderr.splitlines()
    assert shown == [
        "error: standard output cannot be written ([Errno 28] No space left on device); it is "
        "incomplete",
        "2",
    ]
