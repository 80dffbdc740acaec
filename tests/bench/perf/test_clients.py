"""A client with a fake server, and the program with a real one."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.perf import clients as module
from bench.perf.clients import ClientChurn, visit
from engine.errors import ExportError
from engine.events import EventCounter
from engine.motion.pose import PoseFormat
from exporters.websocket import WebSocketServer


class Client:
    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.sent: list[str] = []

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def subscribe(self, **_: Any) -> None:
        self.sent.append("subscribe")

    def send(self, kind: str) -> None:
        self.sent.append(kind)

    def receive(self, _: float) -> str:
        self.patience -= 1
        if self.patience < 0:
            raise ExportError("gone")
        return "message"


def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def tick(seconds: float = 0.01) -> float:
        now[0] += seconds
        return now[0]

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=tick, sleep=tick))


def test_visits_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch)
    rng, done = np.random.default_rng(0), Counter[str]()
    clients = [Client(10**6) for _ in range(40)]
    for client in clients:
        visit(lambda made=client: made, rng, done, lambda: False)  # type: ignore[misc,return-value]
    assert done["visits"] == 40
    assert done["messages"] > 1000
    assert 1 <= done["cancels"] == sum("cancel" in c.sent for c in clients) < 20
    assert any(c.patience == 10**6 for c in clients), "some clients do not read"
    assert done["turned away"] == 0


def test_a_server_that_goes_away_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch)
    rng, done = np.random.default_rng(1), Counter[str]()
    for _ in range(5):
        visit(lambda: Client(3), rng, done, lambda: False)  # type: ignore[arg-type,return-value]
    assert done["turned away"] >= 3, "one client may not read"


class Control:
    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.mark.slow
def test_the_program_ends_with_its_input() -> None:
    server = WebSocketServer("127.0.0.1", 0, control=Control(), events=EventCounter())
    server.open(PoseFormat())
    people = ClientChurn(f"ws://127.0.0.1:{server.port}")
    done = people.stop()
    server.close()
    assert set(done) <= {"visits", "cancels", "messages", "turned away"}
