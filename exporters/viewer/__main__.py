"""The viewer's command line: `python -m exporters.viewer --ws ws://127.0.0.1:8765`.

Prints one line, `viewer: http://HOST:PORT`, once the page can be opened. Ends on SIGTERM and
Ctrl-C, and (except on Windows) with the program that started it.
"""

import argparse
import os
import queue
import signal
import sys
import threading

from exporters.address import LOOPBACK
from exporters.commands.options import CommandParser, host, run_command, whole
from exporters.commands.terminal import say
from exporters.viewer.page import PageServer
from exporters.viewer.scene import Scene
from exporters.viewer.stream_client import ViewerClient
from exporters.websocket_client import WebSocketClient


def main(arguments: list[str] | None = None) -> int:
    """Run the viewer; returns 0 after a signal, 2 if it cannot start."""
    return run_command(_parser(), _view, arguments)


def _view(options: argparse.Namespace) -> int:
    stop = threading.Event()
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), lambda *_: stop.set())
    page = PageServer(options.host, options.port)
    scene = Scene(options.host, page.port + 1)
    page.push("scene", {"port": scene.port}, keep=True)
    shown = f"[{page.host}]" if ":" in page.host else page.host
    say(f"viewer: http://{shown}:{page.port}")
    parent = os.getppid()
    follower = ViewerClient(
        lambda: WebSocketClient(options.ws), scene, page, next_view=lambda: _take(page.views)
    )
    follower.run(lambda: stop.is_set() or os.getppid() != parent, stop.wait)
    page.close()
    scene.close()
    return 0


def _take(views: "queue.SimpleQueue[str]") -> str | None:
    try:
        return views.get_nowait()
    except queue.Empty:
        return None


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m exporters.viewer", description=__doc__)
    parser.add_argument("--ws", required=True, help="address of the stream, ws://HOST:PORT")
    parser.add_argument(
        "--port", type=whole(0, 65535), default=8080, help="the page's port, or the next free"
    )
    parser.add_argument(
        "--host", type=host, default=LOOPBACK, help="0.0.0.0 shows it to the network"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
