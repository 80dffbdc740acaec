"""The WebSocket server: sends poses to many clients and receives audio, words and commands.

Manages connections, queues and access; `exporters.wire` encodes the messages, and the ControlSink
executes them. The server runs on an asyncio loop in a thread of its own. A frame is encoded once,
on the caller's thread; its bytes are put into one bounded queue per client. A slow client loses its
own oldest messages (SLOW_CLIENT) and delays no other.
"""

import asyncio
import errno
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from engine.errors import ExportError, GestureError
from engine.events import REJECTED_MESSAGE, SLOW_CLIENT, EventCounter
from engine.motion.pose import FloatArray, PoseFormat, PoseFrame
from engine.text.words import TimedWord
from exporters import wire
from exporters.address import Address
from exporters.hosts import look_up
from exporters.origin import is_loopback, parse_origin, same_origin

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

_Data: TypeAlias = str | bytes

LARGEST_MESSAGE: Final = 2**20
MOST_CLIENTS: Final = 64
_PAGE: Final = Path(__file__).parent / "clients" / "browser" / "index.html"
# Bytes that the system buffers for a client that does not read: half a second of frames. With the
# usual megabytes it would fall minutes behind before its queue was full.
_SEND_BUFFER: Final = 32 * 1024
_CLOSING_S: Final = 0.1  # for queues to empty, and again for closing handshakes
# Pause of a client after this many refused messages: some thousand per second at most.
_REFUSALS_AT_ONCE: Final = 16
_REFUSAL_BACKOFF_S: Final = 0.01
# Own close codes for a client that broke the WebSocket protocol or a limit.
_PROTOCOL_ERRORS: Final = (1002, 1003, 1007, 1009)

_WORDS_KEPT: Final = 1000
_FRAME, _AUDIO, _TEXT = range(3)
_MOST_QUEUED: Final = {_FRAME: 90, _AUDIO: 300, _TEXT: 60}


class ControlSink(Protocol):
    """Actions of clients on the stream. Called on the server's thread: must return at once."""

    def push_audio(self, samples: FloatArray, rate: int) -> None:
        """Add sound `[S]` at `rate` Hz; ConfigError if the sound comes from elsewhere."""
        ...

    def push_words(self, words: list[TimedWord]) -> None:
        """Add or revise words."""
        ...

    def cancel(self) -> None:
        """Drop sound not yet used and settle."""
        ...

    def reset(self) -> None:
        """Forget everything and begin again."""
        ...

    def end(self) -> None:
        """End the utterance."""
        ...


class _SendQueue:
    """Messages to one client: in order, bounded for each kind, the oldest dropped."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[tuple[int, _Data]]] = {
            kind: deque(maxlen=most) for kind, most in _MOST_QUEUED.items()
        }
        self._count = 0
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def put(self, kind: int, data: _Data) -> bool:
        """Add a message; True if an older one of its kind was dropped for it."""
        queue = self._queues[kind]
        dropped = len(queue) == queue.maxlen
        queue.append((self._count, data))
        self._count += 1
        self._filled.set()
        return dropped

    async def get(self) -> _Data:
        """The oldest message; waits if there is none."""
        while not len(self):
            self._filled.clear()
            await self._filled.wait()
        oldest = min((queue for queue in self._queues.values() if queue), key=lambda q: q[0][0])
        return oldest.popleft()[1]


class _Client:
    """One connection, on the loop's thread only."""

    def __init__(self, connection: "ServerConnection", rate: int) -> None:
        self.connection = connection
        self.queue = _SendQueue()
        self.subscription = wire.Subscribe()
        self.rate = rate
        self.refusals = 0

    async def write(self) -> None:
        """Send what is queued until the connection ends or the task is cancelled."""
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            while True:
                await self.connection.send(await self.queue.get())


class WebSocketServer:
    """A PoseSink for any number of clients, which may also send audio, words and commands.

    `port` 0 takes a free one; `self.port` is the real one once the server is open. Pages of other
    sites are refused (Origin is neither loopback nor listed in `allowed_origins`, such as
    "https://example.org", or "null" for pages without an origin; ConfigError for anything else);
    programs, which send no Origin, are accepted. If the host name has addresses of both families,
    the server listens on IPv4.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        control: ControlSink,
        events: EventCounter,
        allowed_origins: Sequence[str] = (),
    ) -> None:
        self.host, self.port = host, port
        self._control = control
        self._events = events
        self._allowed = frozenset(map(parse_origin, allowed_origins))
        self._clients: set[_Client] = set()  # changed on the loop's thread only
        self._words: deque[TimedWord] = deque(maxlen=_WORDS_KEPT)  # for clients who come later
        self._format = PoseFormat()
        self._encoder: wire.FrameEncoder | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    # ---- called from any thread ---------------------------------------------------------------

    def open(self, fmt: PoseFormat) -> None:
        """Start listening; ExportError if the address is not available."""
        self._format = fmt
        self._encoder = wire.FrameEncoder(fmt)
        listening: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)), name="websocket", daemon=True
        )
        self._thread.start()
        try:
            self.port = listening.result()
        except OSError as error:
            raise _cannot_listen(Address(self.host, self.port), error) from error

    def send(self, frame: PoseFrame) -> None:
        """Send `frame` to all clients; returns at once."""
        clients = tuple(self._clients)
        if self._encoder is None or not clients:
            return
        binary = self._encoder.encode(frame)
        text = ""
        if any(client.subscription.json_frames for client in clients):
            text = wire.frame_json(frame, self._format.clock.sample_rate)
        self._post(self._share_frame, binary, text)

    def broadcast_audio(self, first_sample: int, samples: FloatArray) -> None:
        """Send audio `[S]` to the subscribed clients."""
        if any(client.subscription.audio for client in tuple(self._clients)):
            self._post(self._share_audio, wire.encode_audio(first_sample, samples))

    def broadcast_words(self, words: list[TimedWord]) -> None:
        """Send words to the subscribed clients."""
        self._words.extend(words)
        for text in wire.words_messages(words):
            self._post(self._share_words, text)

    def broadcast_stats(self, stats: Mapping[str, Any]) -> None:
        """Send a dictionary of numbers to the subscribed clients."""
        self._post(self._share_stats, wire.text_message("stats", stats))

    def close(self) -> None:
        """Send the queued messages, close all connections and stop, within half a second."""
        if self._stop is not None:
            self._post(self._stop.set)
        if self._thread is not None:
            self._thread.join()
        self._thread = self._stop = self._loop = None

    def _post(self, function: Callable[..., object], *arguments: object) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(function, *arguments)

    # ---- called on the loop's thread ----------------------------------------------------------

    def _share(self, clients: Iterable[_Client], kind: int, data: _Data) -> None:
        for client in clients:
            if client.queue.put(kind, data):
                self._events.count(SLOW_CLIENT)

    def _share_frame(self, binary: bytes, text: str) -> None:
        for client in self._clients:
            # The text is missing if the client asked for it after this frame was encoded.
            self._share(
                [client], _FRAME, text if client.subscription.json_frames and text else binary
            )

    def _share_audio(self, data: bytes) -> None:
        self._share((c for c in self._clients if c.subscription.audio), _AUDIO, data)

    def _share_words(self, text: str) -> None:
        self._share((c for c in self._clients if c.subscription.words), _TEXT, text)

    def _share_stats(self, text: str) -> None:
        self._share((c for c in self._clients if c.subscription.stats), _TEXT, text)

    async def _serve(self, listening: "Future[int]") -> None:
        from websockets.asyncio.server import serve

        try:
            places = look_up(Address(self.host, self.port), socket.SOCK_STREAM)
            numbers: Any = [number for _, number in places]  # asyncio accepts several as one
            server = await serve(
                self._handle_connection,
                numbers,
                self.port,
                process_request=self._process_request,
                compression=None,
                max_size=LARGEST_MESSAGE,
                write_limit=_SEND_BUFFER,
                close_timeout=_CLOSING_S,
                logger=_silent_logger(),
            )
        except BaseException as error:
            listening.set_exception(error)
            return
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listening.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        await self._finish(server)

    async def _finish(self, server: "Server") -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_S):
                while any(len(client.queue) for client in self._clients):
                    await asyncio.sleep(0.005)
        server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_S):
                await server.wait_closed()
        for client in self._clients:  # clients that do not read cannot be closed in order
            client.connection.transport.abort()

    def _process_request(
        self, connection: "ServerConnection", request: "Request"
    ) -> "Response | None":
        """None to continue the handshake, or the response that ends it."""
        if "Upgrade" not in request.headers:
            return _page(connection, request.path)
        for sent in request.headers.get_all("Origin"):
            origin = same_origin(sent) or ""
            if origin not in self._allowed and not is_loopback(origin):
                return connection.respond(
                    HTTPStatus.FORBIDDEN,
                    f"pages of {sent} may not connect: their origin is not in allowed_origins\n",
                )
        if len(self._clients) >= MOST_CLIENTS:
            return connection.respond(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_CLIENTS} clients are connected already\n"
            )
        return None

    async def _handle_connection(self, connection: "ServerConnection") -> None:
        from websockets.exceptions import ConnectionClosed

        raw = connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        client = _Client(connection, self._format.clock.sample_rate)
        client.queue.put(_TEXT, wire.hello(self._format))
        self._clients.add(client)
        writer = asyncio.create_task(client.write())
        try:
            while True:
                refused = not self._receive(client, await connection.recv())
                client.refusals += refused
                # A flood of messages must not delay other clients or keep this process busy.
                pause = refused and client.refusals % _REFUSALS_AT_ONCE == 0
                await asyncio.sleep(_REFUSAL_BACKOFF_S if pause else 0)
        except ConnectionClosed as closed:
            if closed.sent and not closed.rcvd and closed.sent.code in _PROTOCOL_ERRORS:
                self._events.count(REJECTED_MESSAGE)
        finally:
            self._clients.discard(client)
            writer.cancel()

    def _receive(self, client: _Client, message: _Data) -> bool:
        """Execute a message; False, with an answer and a count, for an invalid one."""
        try:
            if isinstance(message, bytes):
                self._control.push_audio(wire.decode_pcm(message), client.rate)
            else:
                self._dispatch(client, wire.parse_client_message(message))
        except GestureError as error:
            self._events.count(REJECTED_MESSAGE)
            # A client that sends invalid messages and does not read the answers is not counted as
            # slow.
            client.queue.put(_TEXT, wire.text_message("error", {"message": str(error)}))
            return False
        return True

    def _dispatch(self, client: _Client, message: wire.ClientMessage) -> None:
        match message:
            case wire.Subscribe():
                client.subscription = message
                if message.words:
                    for text in wire.words_messages(list(self._words)):
                        self._share([client], _TEXT, text)
            case wire.AudioRate(rate):
                client.rate = rate
            case wire.PushWords(words):
                self._control.push_words(list(words))
            case wire.Command("cancel"):
                self._control.cancel()
            case wire.Command("reset"):
                self._control.reset()
            case wire.Command("end"):
                self._control.end()
            case wire.Command("ping"):
                self._share([client], _TEXT, wire.text_message("pong", {}))


def _page(connection: "ServerConnection", path: str) -> "Response":
    """The example page, for a browser that opens the server's address."""
    if path.partition("?")[0] != "/" or not _PAGE.is_file():
        return connection.respond(HTTPStatus.NOT_FOUND, "connect by WebSocket, or open /\n")
    response = connection.respond(HTTPStatus.OK, _PAGE.read_text(encoding="utf-8"))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    return response


def _silent_logger() -> logging.Logger:
    """A logger that prints nothing: broken handshakes of others are not output of this program."""
    logger = logging.Logger("websocket")
    logger.addHandler(logging.NullHandler())
    return logger


def _cannot_listen(address: Address, error: OSError) -> ExportError:
    if error.errno == errno.EADDRINUSE:
        why = f"port {address.port} is in use; stop the program that has it or choose another port"
    elif error.errno == errno.EACCES:
        why = f"port {address.port} is reserved; choose one above 1023"
    else:
        why = f"{error}; use 127.0.0.1 for this machine alone or 0.0.0.0 for all its networks"
    return ExportError(f"cannot serve a WebSocket at {address}: {why}")
