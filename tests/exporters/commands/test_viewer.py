"""The viewer's process: its command line, and the report of its end."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.errors import ConfigError, ExportError
from exporters.commands import viewer
from exporters.commands.viewer import Viewer, require_viewer


class Lines(list[str]):
    """Collects printed lines; waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self._more = threading.Condition()

    def take(self, text: str) -> None:
        with self._more:
            self.append(text)
            self._more.notify_all()

    def wait_for(self, part: str) -> str:
        with self._more:
            assert self._more.wait_for(lambda: any(part in line for line in self), 60), list(self)
            return next(line for line in self if part in line)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(viewer, "say", lines.take)
    monkeypatch.setattr(viewer, "complain", lines.take)
    return lines


def test_a_missing_library_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ConfigError, match=r"pip install 'emage-live\[viewer\]'"):
        require_viewer()


def test_a_viewer_that_cannot_start_is_an_error_with_its_last_line(
    monkeypatch: pytest.MonkeyPatch, said: Lines
) -> None:
    script = "import sys; print('much', file=sys.stderr); sys.exit('error: no port is free')"
    monkeypatch.setattr(viewer, "_COMMAND", script)
    with pytest.raises(ExportError, match="ended with status 1: no port is free"):
        Viewer(1).__enter__()
    assert said == []


def test_a_viewer_that_ends_later_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, said: Lines
) -> None:
    script = "import sys; print('viewer: here', flush=True); sys.exit('the card is gone')"
    monkeypatch.setattr(viewer, "_COMMAND", script)
    with Viewer(1):
        end = said.wait_for("ended")
    assert end == (
        "note: the viewer ended with status 1: the card is gone; the session goes on without it"
    )
    assert said == ["viewer: here", end]


def test_a_closed_viewer_is_not_reported(monkeypatch: pytest.MonkeyPatch, said: Lines) -> None:
    script = "import sys, time; print('viewer: here', flush=True); time.sleep(600)"
    monkeypatch.setattr(viewer, "_COMMAND", script)
    with Viewer(1) as shown:
        assert said == ["viewer: here"]
    assert shown._process is not None
    assert shown._process.poll() is not None
    assert said == ["viewer: here"]


@pytest.mark.viewer
@pytest.mark.posix
def test_modules_of_the_users_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Lines
) -> None:
    (tmp_path / "queue.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    (tmp_path / "exporters").mkdir()
    (tmp_path / "exporters" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with Viewer(1) as shown:
        assert said.wait_for("viewer: ").startswith("viewer: http://127.0.0.1:")
        assert not (tmp_path / "ran").exists()
        assert shown._process is not None
        os.kill(shown._process.pid, signal.SIGKILL)
        assert "ended with status -9" in said.wait_for("ended")


@pytest.mark.viewer
@pytest.mark.posix
def test_ctrl_c_at_the_terminal_reaches_the_session_alone(said: Lines) -> None:
    with Viewer(1) as shown:
        assert shown._process is not None
        assert os.getsid(shown._process.pid) != os.getsid(0)


_WITHOUT = """
import sys
sys.modules["viser"] = None
sys.path.insert(0, sys.argv[1])
from exporters.commands.live import main
sys.exit(main(["--demo", "--view", "--duration", "1"]))
"""


def test_emage_live_ends_with_status_two_without_a_viewer(root: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _WITHOUT, str(root)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: --view needs viser")
    assert ended.stderr.count("\n") == 1
