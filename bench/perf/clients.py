"""WebSocket clients that connect and disconnect at random: a program for `emage-bench soak`.

Clients listen for some seconds or do not read at all, may cancel, and disconnect. They run in a
separate process, so that their memory and threads are not the session's. The program ends when its
standard input does, and prints counts as one line of JSON.
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
    """The running program, connected to the server `url`; `stop` returns its counts."""

    def __init__(self, url: str, seed: int = 0) -> None:
        command = [sys.executable, "-m", "bench.perf.clients", url, str(seed)]
        # In the checkout, so that modules in the working directory cannot shadow the project's.
        self._process = subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> dict[str, int]:
        """End the program; {"failed": 1} if it failed, after its error message."""
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
    """One client: listen, or sleep without reading; cancel at random; disconnect."""
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
