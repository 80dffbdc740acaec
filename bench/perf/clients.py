"""Clients that come and go at random: a small program of its own, for `emage-bench soak`.

They listen for some seconds, or do not read at all, cancel now and then, and leave. In a process of
their own, so that their memory and their waiting are not the session's. Ends when its standard
input does, with what was done as one line of JSON.
"""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.errors import ExportError
from exporters.websocket_client import WebSocketClient

_PATIENCE_S = 20.0


class ClientChurn:
    """The program, running, at the server `url`. `stop` gives what they did."""

    def __init__(self, url: str, seed: int = 0) -> None:
        command = [sys.executable, "-m", "bench.perf.clients", url, str(seed)]
        # From the checkout: modules in the user's folder must not be run in place of ours.
        self._process = subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> dict[str, int]:
        """End; {"failed": 1} where the program did, and its error stands above."""
        try:
            output, _ = self._process.communicate("", timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        found: dict[str, int] = json.loads(output) if output.strip() else {"failed": 1}
        return found


def visit(
    connect: Callable[[], WebSocketClient],
    rng: np.random.Generator,
    done: Counter[str],
    over: Callable[[], bool],
) -> None:
    """One client: it listens, or sleeps without reading, perhaps cancels, and goes."""
    try:
        with connect() as client:
            done["visits"] += 1
            client.subscribe(audio=bool(rng.random() < 0.5), stats=True, words=True)
            if rng.random() < 0.2:
                client.send("cancel")
                done["cancels"] += 1
            end_s = time.monotonic() + float(rng.uniform(0.5, 5.0))
            reads = rng.random() < 0.8
            while time.monotonic() < end_s and not over():
                if not reads:
                    time.sleep(0.05)
                elif client.receive(0.1) is not None:
                    done["messages"] += 1
    except ExportError:
        done["turned away"] += 1


def main(url: str, seed: int) -> None:
    """Visit until the standard input ends."""
    rng = np.random.default_rng(seed)
    done: Counter[str] = Counter()
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    while not over.wait(float(rng.uniform(0.0, 1.0))):
        visit(lambda: WebSocketClient(url), rng, done, over.is_set)
    print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
