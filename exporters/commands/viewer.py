"""Runs the viewer of a live session in its own process and reports its end."""

import subprocess
import sys
import threading
from collections import deque
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from engine.errors import ConfigError, ExportError
from exporters.commands.terminal import complain, say

_START_S: Final = 60.0  # a slower viewer may still start; the session does not wait
_END_S: Final = 0.5
# -P keeps the user's folder off the module path: a queue.py or exporters/ there must not be run.
# The folder of this installation is last, for a checkout that is not installed.
_COMMAND: Final = """import sys
sys.path.append(sys.argv.pop(1))
from exporters.viewer.__main__ import main
sys.exit(main())"""


def require_viewer() -> None:
    """Raise ConfigError if the viewer's library is not installed."""
    try:
        missing = find_spec("viser") is None
    except (ImportError, ValueError):
        missing = True
    if missing:
        raise ConfigError("--view needs viser, which is missing: pip install 'emage-live[viewer]'")


class Viewer:
    """Context manager: the viewer in a process of its own.

    Entering waits until the page can be opened and prints its address; ExportError if the viewer
    ends before. If it ends later, one line reports it and the session goes on.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._started = threading.Event()  # whether it started
        self._shown = False
        self._closing = False
        self._errors: deque[str] = deque(maxlen=1)

    def __enter__(self) -> "Viewer":
        stream = f"ws://127.0.0.1:{self._port}"
        root = Path(__file__).resolve().parents[2]
        # A process group of its own: Ctrl-C reaches this program alone, which then ends the viewer.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND, str(root), "--ws", stream],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        threading.Thread(target=self._relay, name="viewer-output", daemon=True).start()
        self._started.wait(_START_S)
        if self._started.is_set() and not self._shown:
            raise ExportError(f"{self._end()}; start without --view")
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _relay(self) -> None:
        """Print the viewer's output until it ends."""
        assert self._process is not None
        assert self._process.stdout is not None
        errors = threading.Thread(target=self._keep_errors, name="viewer-errors", daemon=True)
        errors.start()
        for line in self._process.stdout:
            say(line.decode(errors="replace").rstrip())
            self._shown = True
            self._started.set()
        self._process.wait()
        errors.join(_END_S)
        self._started.set()
        if self._shown and not self._closing:
            complain(f"note: {self._end()}; the session goes on without it")

    def _keep_errors(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if text := line.decode(errors="replace").strip():
                self._errors.append(text)

    def _end(self) -> str:
        assert self._process is not None
        why = f": {self._errors[-1].removeprefix('error: ')}" if self._errors else ""
        return f"the viewer ended with status {self._process.returncode}{why}"
