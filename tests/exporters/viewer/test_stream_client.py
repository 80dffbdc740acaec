"""The follower shows the newest frame, passes everything else on and survives its streams."""

from typing import Any

import numpy as np

from engine.errors import ExportError, ShapeError
from engine.motion.pose import FrameFlag, PoseFormat, PoseFrame
from exporters.viewer.stream_client import Message, ViewerClient
from exporters.wire import AudioPacket


class FakeClient:
    """Returns messages in order; None is a wait without one, an error is raised."""

    def __init__(self, messages: list[Message | Exception]) -> None:
        self.format = PoseFormat()
        self.messages = list(messages)
        self.wanted: dict[str, bool] = {}
        self.closed = False

    def subscribe(self, *, audio: bool, stats: bool, words: bool) -> None:
        self.wanted = {"audio": audio, "stats": stats, "words": words}

    def receive(self, timeout_s: float | None = None) -> Message:
        message = self.messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    def close(self) -> None:
        self.closed = True


class Record:
    """A scene and a page that record their calls."""

    def __init__(self) -> None:
        self.formats: list[PoseFormat] = []
        self.shown: list[int] = []
        self.views: list[str] = []
        self.pushed: list[tuple[str, dict[str, Any]]] = []
        self.sound: list[tuple[int, int, int]] = []

    def show_format(self, fmt: PoseFormat) -> None:
        self.formats.append(fmt)

    def show(self, frame: PoseFrame) -> None:
        self.shown.append(frame.index)

    def look(self, view: str) -> None:
        self.views.append(view)

    def push(self, kind: str, body: dict[str, Any], *, keep: bool = False) -> None:
        self.pushed.append((kind, body))

    def push_audio(self, first_sample: int, rate: int, samples: np.ndarray) -> None:
        self.sound.append((first_sample, rate, len(samples)))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.pushed]


def ended() -> ExportError:
    return ExportError("the stream's server closed the connection")


def follow(*streams: list[Message | Exception] | Exception) -> tuple[Record, list[float]]:
    """Follow streams one after another and stop when there are no more."""
    record, waits, left = Record(), [], list(streams)
    seconds = iter(range(10_000))

    def connect() -> FakeClient:
        stream = left.pop(0)
        if isinstance(stream, Exception):
            raise stream
        return FakeClient(stream)

    def stopped() -> bool:
        return not left and record.pushed[-1][1].get("connected") is False

    follower = ViewerClient(connect, record, record, now=lambda: next(seconds) / 30)
    follower.run(stopped, waits.append)
    return record, waits


def test_only_the_newest_of_several_frames_is_shown(make_frame) -> None:
    frames = [make_frame(i) for i in range(5)]
    record = Record()
    client = FakeClient([*frames, None, ended()])
    once = iter([False, False, False, True])
    ViewerClient(lambda: client, record, record).run(lambda: next(once), lambda _: None)
    assert record.shown == [4]
    assert client.closed
    assert client.wanted == {"audio": True, "stats": True, "words": True}


def test_frames_that_arrive_one_by_one_are_all_shown(make_frame) -> None:
    messages = [m for i in range(6) for m in (make_frame(i), None)]
    record = run_through(messages)
    assert record.shown == [0, 1, 2, 3, 4, 5]
    clocks = [body for kind, body in record.pushed if kind == "clock"]
    assert [round(c["time"], 3) for c in clocks] == [0.033, 0.1, 0.167]
    assert clocks[0]["held"] == bool(make_frame(1).flags & FrameFlag.HELD)


def run_through(messages: list[Message | Exception]) -> Record:
    record = Record()
    client = FakeClient([*messages, ended()])
    stops = iter([False] * (len(messages) + 5))
    connects = iter([client])

    def connect() -> FakeClient:
        try:
            return next(connects)
        except StopIteration:
            raise ExportError("gone") from None

    follower = ViewerClient(connect, record, record, now=lambda: 0.0)
    follower.run(lambda: next(stops, True), lambda _: None)
    return record


def test_sound_words_and_stats_go_to_the_page() -> None:
    words = {"type": "words", "words": [{"word": "hello", "start": 0.1, "end": 0.4}]}
    stats = {"type": "stats", "late_frames": 3}
    packet = AudioPacket(320, np.zeros(160, np.float32))
    record = run_through([packet, words, stats, {"type": "pong"}, None])
    assert record.sound == [(320, 16000, 160)]
    assert ("words", words) in record.pushed
    assert ("stats", stats) in record.pushed
    assert "pong" not in record.kinds()


def test_a_flood_without_a_pause_does_not_keep_frames_from_the_screen(make_frame) -> None:
    record = run_through([make_frame(i) for i in range(200)])
    assert len(record.shown) >= 2


def test_a_lost_stream_is_looked_for_again(make_frame) -> None:
    record, waits = follow(
        [make_frame(0), None, ended()],
        ExportError("no stream at ws://127.0.0.1:1"),
        [make_frame(7), None, ShapeError("a frame is truncated")],
    )
    assert record.shown == [0, 7]
    assert len(record.formats) == 2
    assert len(waits) == 1
    states = [body["connected"] for kind, body in record.pushed if kind == "state"]
    assert states == [True, False, False, True, False]


def test_the_rate_is_that_of_arrivals(make_frame) -> None:
    record = Record()
    messages = [m for i in range(40) for m in (make_frame(i), None)]
    client = FakeClient([*messages, ended()])
    seconds = iter(i / 30 for i in range(1000))
    stops = iter([False] * 42)
    follower = ViewerClient(lambda: client, record, record, now=lambda: next(seconds))
    follower.run(lambda: next(stops, True), lambda _: None)
    rates = [body["fps"] for kind, body in record.pushed if kind == "clock"]
    assert rates[-1] == 30.0


def test_wishes_for_views_reach_the_scene(make_frame) -> None:
    record, wishes = Record(), iter(["face", None, "figure"])
    client = FakeClient([None, None, None, None, ended()])
    stops = iter([False] * 5)
    follower = ViewerClient(lambda: client, record, record, next_view=lambda: next(wishes, None))
    follower.run(lambda: next(stops, True), lambda _: None)
    assert record.views == ["face", "figure"]
