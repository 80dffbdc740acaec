"""Latency measured from outside: sound goes into a process at known times, frames are timed.

Nothing is asked of the process but its contract: 16-bit PCM on standard input, frames with their
numbers on a WebSocket. Audio-to-pose of a frame is from the writing of the last sample of its
audio to the arrival of its packet here.
"""

import json
import re
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.clock import FrameClock
from engine.pose import PoseFrame
from engine.statistics import percentiles
from exporters.websocket_client import WebSocketClient

_BLOCK = 160
RATE = 16000


@dataclass
class OutsideRun:
    """What was seen. latency_ms and arrivals: one value a frame; report: the process's own."""

    frames: list[int]
    latency_ms: list[float]
    arrivals_s: list[float]
    report: dict[str, Any]
    startup_s: float
    cpu_s: float
    peak_mb: float

    def summary(self, audio_s: float) -> dict[str, Any]:
        """Percentiles, frame rate and what the process cost."""
        span = self.arrivals_s[-1] - self.arrivals_s[0]
        gaps = np.diff(self.arrivals_s) * 1000
        return {
            "frames": len(self.frames),
            "fps": round((len(self.frames) - 1) / span, 3),
            "audio_to_pose_ms": percentiles(self.latency_ms),
            "gap_ms": percentiles(list(gaps)),
            "late_frames": self.report["late_frames"],
            "first_pose_after_start_s": round(self.startup_s, 2),
            "core_share": round(self.cpu_s / audio_s, 3),
            "peak_rss_mb": round(self.peak_mb, 1),
            "inside": {key: self.report[key] for key in ("audio_to_pose_ms", "compute_ms", "rtf")},
        }


def measure(samples: np.ndarray, arguments: list[str]) -> OutsideRun:
    """Run `emage-live --stdin` with `arguments` on mono 16 kHz `samples` (float) in real time."""
    command = [sys.executable, "-m", "exporters.commands.live", "--stdin", "--ws", "127.0.0.1:0"]
    begin = time.monotonic()
    process = subprocess.Popen(
        [*command, "--json", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdin is not None
    assert process.stdout is not None
    url = _address(process)
    received: list[tuple[float, PoseFrame]] = []
    with WebSocketClient(url) as client:
        reader = threading.Thread(target=_collect, args=(client, received), daemon=True)
        reader.start()
        written = _write(process, samples)
        process.stdin.close()
        output = process.stdout.read().decode()
        reader.join(timeout=5)
    process.wait()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    clock = FrameClock(RATE, 30)
    frames = [frame.index for _, frame in received]
    latency = [
        (at - written[min(clock.first_sample(f.index + 1), len(samples)) - 1]) * 1000
        for at, f in received
    ]
    return OutsideRun(
        frames=frames,
        latency_ms=latency,
        arrivals_s=[at for at, _ in received],
        report=json.loads(output.strip().splitlines()[-1]),
        startup_s=received[0][0] - begin,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / 1024,
    )


def _address(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    while line := process.stdout.readline().decode():
        found = re.match(r"websocket: (\S+)", line)
        if found:
            return found.group(1)
    raise RuntimeError("emage-live ended before it listened; see its error above")


def _collect(client: WebSocketClient, received: list[tuple[float, PoseFrame]]) -> None:
    from engine.errors import ExportError

    try:
        while True:
            message = client.receive()
            if isinstance(message, PoseFrame):
                received.append((time.monotonic(), message))
    except ExportError:
        return


def _write(process: "subprocess.Popen[bytes]", samples: np.ndarray) -> np.ndarray:
    """Write in real time, 10 ms at once; the time each sample was written `[S]`."""
    assert process.stdin is not None
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2")
    times = np.zeros(len(pcm))
    origin = time.monotonic()
    for start in range(0, len(pcm), _BLOCK):
        end = min(start + _BLOCK, len(pcm))
        wait_s = origin + end / RATE - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        times[start:end] = time.monotonic()
        process.stdin.write(pcm[start:end].tobytes())
    return times


def read_speech(path: Path, seconds: float) -> np.ndarray:
    """`seconds` of a sound file at 16 kHz, repeated where it is shorter."""
    from engine.audio.source import WavSource

    sound = np.concatenate([block.samples for block in WavSource(path).blocks()])
    return np.resize(sound, int(seconds * RATE))
