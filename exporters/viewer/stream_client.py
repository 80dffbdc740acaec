"""Follows a stream: from the WebSocket to the scene and the page around it.

The newest frame wins: frames that arrive while one is shown are skipped, so the viewer is at most
one frame behind. Lost streams are retried until stopped.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from engine.errors import GestureError
from engine.motion.pose import FloatArray, FrameFlag, PoseFormat, PoseFrame
from exporters.wire import AudioPacket

_RETRY_S: Final = 0.5
_PATIENCE_S: Final = 0.25  # between checks for the end
_MOST_DRAINED: Final = 64  # messages at a time, so that a flood does not delay a frame
_FRAMES_A_TICK: Final = 2  # the page interpolates its clock in between

Message = PoseFrame | AudioPacket | dict[str, Any] | None


class Client(Protocol):
    """The part of `exporters.websocket_client.WebSocketClient` that the viewer uses."""

    format: PoseFormat

    def subscribe(self, *, audio: bool, stats: bool, words: bool) -> None:
        """Subscribe to more than frames."""

    def receive(self, timeout_s: float | None = None) -> Message:
        """The next message, or None."""

    def close(self) -> None:
        """Close the connection."""


class SceneLike(Protocol):
    """Shows frames."""

    def show_format(self, fmt: PoseFormat) -> None:
        """Begin a new stream."""

    def show(self, frame: PoseFrame) -> None:
        """Show one frame."""

    def look(self, view: str) -> None:
        """Move the camera."""


class PageLike(Protocol):
    """Receives events and audio."""

    def push(self, kind: str, body: dict[str, Any], *, keep: bool = False) -> None:
        """Push an event."""

    def push_audio(self, first_sample: int, rate: int, samples: FloatArray) -> None:
        """Push audio."""


class ViewerClient:
    """Shows one stream after another until `stopped` returns true.

    connect: returns a client or raises GestureError. wait: sleeps for a number of seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        scene: SceneLike,
        page: PageLike,
        *,
        next_view: Callable[[], str | None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._scene = scene
        self._page = page
        self._next_view = next_view
        self._now = now
        self._arrivals: deque[float] = deque(maxlen=90)
        self._shown = 0

    def run(self, stopped: Callable[[], bool], wait: Callable[[float], object]) -> None:
        """Follow until stopped; streams that end or fail are retried."""
        while not stopped():
            try:
                client = self._connect()
            except GestureError as error:
                self._page.push("state", {"connected": False, "why": str(error)}, keep=True)
                wait(_RETRY_S)
                continue
            try:
                self._follow(client, stopped)
            except GestureError as error:
                self._page.push("state", {"connected": False, "why": str(error)}, keep=True)
            finally:
                client.close()

    def _follow(self, client: Client, stopped: Callable[[], bool]) -> None:
        client.subscribe(audio=True, stats=True, words=True)
        self._scene.show_format(client.format)
        self._arrivals.clear()
        clock = client.format.clock
        about = {"connected": True, "fps": clock.frame_rate, "basis": client.format.face.name}
        self._page.push("state", about, keep=True)
        while not stopped():
            frame = self._drain(client)
            if frame is not None:
                self._scene.show(frame)
                self._push_clock(frame, clock.sample_rate)
            view = self._next_view()
            if view is not None:
                self._scene.look(view)

    def _drain(self, client: Client) -> PoseFrame | None:
        """Handle all waiting messages, waiting for at least one; returns the newest frame."""
        newest: PoseFrame | None = None
        message = client.receive(_PATIENCE_S)
        for _ in range(_MOST_DRAINED):
            if isinstance(message, PoseFrame):
                self._arrivals.append(self._now())
                newest = message
            elif message is None:
                break
            else:
                self._forward(message, client.format)
            message = client.receive(0.0)
        return newest

    def _forward(self, message: AudioPacket | dict[str, Any], fmt: PoseFormat) -> None:
        if isinstance(message, AudioPacket):
            self._page.push_audio(message.first_sample, fmt.clock.sample_rate, message.samples)
        elif message.get("type") in ("words", "stats"):
            # Kept for pages that open later, after their words were sent.
            self._page.push(message["type"], message, keep=True)

    def _push_clock(self, frame: PoseFrame, rate: int) -> None:
        self._shown += 1
        if self._shown % _FRAMES_A_TICK:
            return
        body = {
            "time": frame.sample / rate,
            "fps": round(self._rate(), 1),
            "held": bool(frame.flags & FrameFlag.HELD),
            "idle": bool(frame.flags & FrameFlag.IDLE),
        }
        self._page.push("clock", body)

    def _rate(self) -> float:
        """Frames a second over the last three seconds."""
        if len(self._arrivals) < 2:
            return 0.0
        return (len(self._arrivals) - 1) / max(self._arrivals[-1] - self._arrivals[0], 1e-3)
