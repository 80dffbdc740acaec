"""emage-live in a separate process: frames with arrival times, CPU time and memory.

Uses public interfaces only: the WebSocket announced on standard output, and the summary in the last
line.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine.errors import ExportError
from engine.motion.pose import PoseFrame
from exporters.websocket_client import WebSocketClient


@dataclass(frozen=True)
class Ended:
    """Result of a process.

    Attributes:
        report: the process's own summary.
        cpu_s: CPU time.
        peak_mb: peak resident memory.

    """

    report: dict[str, Any]
    cpu_s: float
    peak_mb: float


class LiveProcess:
    """Context manager that runs `emage-live` with `arguments`, `--ws` and `--json`.

    piped: write audio to `sound`. Raises RuntimeError if the program ends before it listens.

    Attributes:
        received: frames with the monotonic time of their arrival.
        began_s: start time.
        url: address of the WebSocket.

    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        piped: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [sys.executable, "-P", "-m", "exporters.commands.live"]
        self._command += ["--ws", "127.0.0.1:0", "--json", *arguments]
        self._piped = piped
        self._environment = dict(os.environ) | dict(environment or {})
        self.received: list[tuple[float, PoseFrame]] = []
        self.began_s = 0.0
        self.url = ""

    def __enter__(self) -> "LiveProcess":
        self.began_s = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE if self._piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=self._environment,
        )
        try:
            self.url = self._address()
            self.client = WebSocketClient(self.url)
        except BaseException:
            self._process.kill()
            raise
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()

    @property
    def sound(self) -> IO[bytes]:
        """Standard input of the process."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def rss_mb(self) -> float:
        """Current resident memory; NaN if the system does not provide it."""
        return resident_mb(self._process.pid)

    def stop(self) -> None:
        """Request the end, as Ctrl+C does."""
        self._process.send_signal(signal.SIGINT)

    def finish(self) -> Ended:
        """Wait for the end, after the end of audio or `stop`."""
        assert self._process.stdout is not None
        if self._process.stdin is not None:
            self._process.stdin.close()
        output = self._process.stdout.read().decode()
        self._reader.join(timeout=5)
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return Ended(
            report=json.loads(output.strip().splitlines()[-1]),
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_mb=usage.ru_maxrss / 1024,
        )

    def _address(self) -> str:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline().decode():
            found = re.match(r"websocket: (\S+)", line)
            if found:
                return found.group(1)
        raise RuntimeError("emage-live ended before it listened; see its error above")

    def _collect(self) -> None:
        try:
            while True:
                message = self.client.receive()
                if isinstance(message, PoseFrame):
                    self.received.append((time.monotonic(), message))
        except ExportError:
            return


def resident_mb(pid: int | None = None) -> float:
    """Resident memory of a process, by default of this one; NaN if unavailable."""
    path = Path("/proc") / ("self" if pid is None else str(pid)) / "statm"
    try:
        pages = int(path.read_text().split()[1])
    except (OSError, IndexError):
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
