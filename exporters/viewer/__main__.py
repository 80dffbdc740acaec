"""The viewer's command line: `python -m exporters.viewer --ws ws://127.0.0.1:8765`.

Prints one line, `viewer: http://HOST:PORT`, once the page can be opened. Ends on SIGTERM and
Ctrl-C, and (except on Windows) when the program that started it is gone.
"""

import argparse
import os
import queue
import signal
import sys
import threading

from engine.errors import GestureError
from exporters.viewer.follow import Follower
from exporters.viewer.page import PageServer
from exporters.viewer.scene import Scene
from exporters.websocket_client import WebSocketClient


def main(arguments: list[str] | None = None) -> int:
    """Run the viewer; 0 when told to end, 2 if it cannot start."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), lambda *_: stop.set())
    try:
        page = PageServer(options.host, options.port)
        scene = Scene(options.host, page.port + 1)
    except GestureError as error:
        print(f"viewer: {error}", file=sys.stderr)
        return 2
    page.tell("scene", {"port": scene.port}, keep=True)
    shown = f"[{page.host}]" if ":" in page.host else page.host
    print(f"viewer: http://{shown}:{page.port}", flush=True)
    parent = os.getppid()
    follower = Follower(
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
    parser = argparse.ArgumentParser(prog="python -m exporters.viewer", description=__doc__)
    parser.add_argument("--ws", required=True, help="address of the stream, ws://HOST:PORT")
    parser.add_argument("--port", type=int, default=8080, help="the page's port, or the next free")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 shows it to the network")
    return parser


if __name__ == "__main__":
    sys.exit(main())
