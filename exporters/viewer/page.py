"""The page around the scene: serves its files and pushes audio, words and numbers to it.

HTTP server of the standard library, one thread per browser. The page opens `/events` (server-sent
events); each browser has a bounded queue that drops its oldest event when full. The page frames the
scene by its port.
"""

import base64
import json
import queue
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np

from engine.errors import ExportError
from engine.motion.pose import FloatArray

_MOST_QUEUED: Final = 256  # about ten seconds of everything
_PORTS_TRIED: Final = 20
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}


class PageServer:
    """Serves the page at `host` on `port`, or on the next free port; `port` is the real one.

    `views` receives the names of requested views. Raises ExportError if no port is free.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.views: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.scene_port = 0
        self._listeners: set[queue.Queue[bytes]] = set()
        self._lock = threading.Lock()
        self._latest: dict[str, bytes] = {}
        self._server = _bind(self, host, port)
        self.port = int(self._server.server_address[1])
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="page", daemon=True
        ).start()

    def push(self, kind: str, body: dict[str, Any], *, keep: bool = False) -> None:
        """Push an event; `keep` shows it to later browsers too, until the next of its kind."""
        event = f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode()
        with self._lock:
            if keep:
                self._latest[kind] = event
            for listener in self._listeners:
                _put(listener, event)

    def push_audio(self, first_sample: int, rate: int, samples: FloatArray) -> None:
        """Push audio `[S]`; `first_sample` is the stream's index of its first sample."""
        if not self._listeners:
            return
        pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
        body = {
            "first": first_sample,
            "rate": rate,
            "pcm": base64.b64encode(pcm.tobytes()).decode(),
        }
        self.push("audio", body)

    def subscribe(self) -> "queue.Queue[bytes]":
        """The queue of a new browser, with the kept events."""
        listener: queue.Queue[bytes] = queue.Queue(_MOST_QUEUED)
        with self._lock:
            for event in self._latest.values():
                _put(listener, event)
            self._listeners.add(listener)
        return listener

    def unsubscribe(self, listener: "queue.Queue[bytes]") -> None:
        """Remove a browser."""
        with self._lock:
            self._listeners.discard(listener)

    def accepts_host(self, host_header: str) -> bool:
        """Whether a request's Host is this server: a foreign page must not read a local microphone
        by pointing its own name at this machine.
        """
        if self.host not in _LOOPBACK:
            return True
        return urlsplit(f"//{host_header}").hostname in _LOOPBACK

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _put(listener: "queue.Queue[bytes]", event: bytes) -> None:
    if listener.full():
        with suppress(queue.Empty):
            listener.get_nowait()
    with suppress(queue.Full):
        listener.put_nowait(event)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False  # on Windows it would share a port in use
    page: PageServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of a browser that has gone."""


def _bind(page: PageServer, host: str, port: int) -> _Server:
    error: OSError | None = None
    for candidate in range(port, port + _PORTS_TRIED) if port else (0,):
        try:
            server = _Server((host, candidate), _Handler)
        except (OSError, OverflowError) as failure:
            error = failure if isinstance(failure, OSError) else OSError(str(failure))
            continue
        server.page = page
        return server
    raise ExportError(
        f"no port from {port} to {port + _PORTS_TRIED - 1} is free at {host} ({error}); "
        "choose another with --port"
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Serve a file or the events."""
        if not self.server.page.accepts_host(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN, "this page is served to this machine only")
        elif self.path == "/events":
            self._send_events()
        elif self.path.partition("?")[0] in _FILES:
            self._send_file(*_FILES[self.path.partition("?")[0]])
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Handle a request for another view."""
        if not self.server.page.accepts_host(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        if self.path.startswith("/view/"):
            self.server.page.views.put(self.path.removeprefix("/view/")[:32])
        self.send_response(HTTPStatus.NO_CONTENT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: requests are not this program's output."""

    def _send_file(self, name: str, kind: str) -> None:
        data = (files("exporters.viewer") / "static" / name).read_bytes()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        self.wfile.write(data)

    def _send_events(self) -> None:
        page = self.server.page
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        listener = page.subscribe()
        try:
            while True:
                try:
                    event = listener.get(timeout=5.0)
                except queue.Empty:
                    event = b": still here\n\n"
                self.wfile.write(event)
                self.wfile.flush()
        except OSError:
            pass
        finally:
            page.unsubscribe(listener)
            self.close_connection = True
