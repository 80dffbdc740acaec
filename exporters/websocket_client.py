"""A small blocking WebSocket client for the viewer, tools and tests.

Counterpart of `exporters.websocket`; `exporters.wire` encodes the messages.
"""

from typing import Any

from engine.errors import ExportError
from engine.motion.pose import FloatArray, PoseFrame
from exporters import wire


class WebSocketClient:
    """Receives the server's messages and sends those of a client; blocks.

    format: of the stream, from the server's hello. Raises ExportError if no server of this protocol
    answers at `url`, such as "ws://127.0.0.1:8765".
    """

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        try:
            self._connection = connect(
                url, open_timeout=timeout_s, close_timeout=0.5, compression=None, proxy=None
            )
            self.format = wire.parse_hello(self._connection.recv(timeout=timeout_s))
        except (OSError, WebSocketException) as error:
            raise ExportError(
                f"no stream at {url} ({error}); start emage-live with --ws and this port"
            ) from error

    def subscribe(
        self,
        *,
        audio: bool = False,
        stats: bool = False,
        words: bool = False,
        json_frames: bool = False,
    ) -> None:
        """Subscribe to more than frames."""
        encoding = "json" if json_frames else "binary"
        self.send("subscribe", audio=audio, stats=stats, words=words, format=encoding)

    def receive(
        self, timeout_s: float | None = None
    ) -> PoseFrame | wire.AudioPacket | dict[str, Any] | None:
        """The next frame, audio or text (a dictionary); None after `timeout_s` without one.

        Raises ExportError when the connection has ended.
        """
        from websockets.exceptions import ConnectionClosed

        try:
            data = self._connection.recv(timeout=timeout_s)
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise ExportError(f"the stream's server closed the connection ({error})") from error
        return wire.parse_server_message(data, self.format)

    def send(self, kind: str, **fields: Any) -> None:
        """Send a text of type `kind`."""
        self.send_raw(wire.text_message(kind, fields))

    def send_audio(self, samples: FloatArray) -> None:
        """Send sound `[S]`, at 16 kHz or the rate last sent in a text of type audio."""
        self.send_raw(wire.encode_pcm(samples))

    def send_raw(self, data: str | bytes) -> None:
        """Send a message as it is; ExportError when the connection has ended."""
        from websockets.exceptions import ConnectionClosed

        try:
            self._connection.send(data)
        except ConnectionClosed as error:
            raise ExportError(f"the stream's server closed the connection ({error})") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> "WebSocketClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
