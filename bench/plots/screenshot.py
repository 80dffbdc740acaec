"""Screenshots of a page in a headless Chromium.

    python -m bench.plots.screenshot http://127.0.0.1:8080 out.png --wait 5

Controls Chromium through its DevTools pipe (file descriptors 3 and 4), without further libraries.
WebGL runs on the processor; no GPU and no display are needed.
"""

import argparse
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.system.atomic import write_bytes

_ANSWER_S = 60.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)
# Moves the pipes to the descriptors that Chromium uses, then executes Chromium.
_EXEC_WITH_PIPES = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)


def find_browser() -> str | None:
    """First Chromium on the path, or None."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


class Browser:
    """A page of a running Chromium, controlled by DevTools messages (zero-terminated JSON)."""

    def __init__(self, write_fd: int, read_fd: int) -> None:
        self._write_fd, self._read_fd = write_fd, read_fd
        self._buffer = b""
        self._next_id = 0
        self._session = ""
        self.messages: list[dict[str, Any]] = []

    def open(self, url: str, width: int = 1280, height: int = 800) -> None:
        """Open `url` in a new page of the given size."""
        target = self.call("Target.createTarget", url="about:blank")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=url)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; RuntimeError for an error or a timeout."""
        self._next_id += 1
        message: dict[str, Any] = {"id": self._next_id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _ANSWER_S
        while time.monotonic() < end:
            answer = self._read(end - time.monotonic())
            if answer is not None and answer.get("id") == self._next_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
        raise RuntimeError(f"the browser did not answer {method} within {_ANSWER_S:.0f} s")

    def wait(self, seconds: float) -> None:
        """Let the page run, collecting its messages."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression (promises awaited) in the page."""
        wanted = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        result = self.call("Runtime.evaluate", expression=expression, **wanted)
        return result["result"].get("value")

    def click(self, x: float, y: float) -> None:
        """Click with the left button at page coordinates."""
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", **event)

    def screenshot(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def console(self) -> list[str]:
        """Console messages and exceptions of the page so far."""
        lines = []
        for message in self.messages:
            params = message.get("params", {})
            if message.get("method") == "Runtime.consoleAPICalled":
                lines.append(" ".join(str(a.get("value", "")) for a in params["args"]))
            elif message.get("method") == "Runtime.exceptionThrown":
                lines.append(str(params["exceptionDetails"].get("exception", params)))
            elif message.get("method") == "Log.entryAdded":
                lines.append(str(params["entry"]["text"]))
        return lines

    def _read(self, timeout_s: float) -> dict[str, Any] | None:
        if b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read_fd], [], [], max(0.0, timeout_s))
            if ready:
                data = os.read(self._read_fd, 1 << 20)
                if not data:
                    raise RuntimeError("the browser ended")
                self._buffer += data
        if b"\0" not in self._buffer:
            return None
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = dict(json.loads(text))
        if "id" not in message:
            self.messages.append(message)
        return message


def _high_pipe() -> tuple[int, int]:
    """Pipe with descriptors other than 3 and 4, which the browser needs."""
    import fcntl  # missing on Windows, where this file must be importable

    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium; FileNotFoundError if none is installed."""
    program = find_browser()
    if program is None:
        raise FileNotFoundError(f"no browser found; install one of {', '.join(BROWSERS)}")
    to_browser, our_write = _high_pipe()
    our_read, from_browser = _high_pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            *(sys.executable, "-c", _EXEC_WITH_PIPES, str(to_browser), str(from_browser)),
            *(program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"),
        ]
        process = subprocess.Popen(
            command,
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Browser(our_write, our_read)
        finally:
            os.close(our_write)
            os.close(our_read)
            process.terminate()
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("png", type=Path)
    parser.add_argument("--wait", type=float, default=5.0, help="seconds before the picture")
    parser.add_argument("--size", default="1280x800", help="WIDTHxHEIGHT in pixels")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    with browser() as page:
        page.open(args.url, width, height)
        page.wait(args.wait)
        write_bytes(args.png, page.screenshot())
        for line in page.console():
            print(line)


if __name__ == "__main__":
    main()
