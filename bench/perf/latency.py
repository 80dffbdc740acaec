"""Latency measured from outside the process: `emage-bench latency`.

Audio is written at known times, and frames are timed on arrival. Only public interfaces are used:
16-bit PCM on standard input, numbered frames on a WebSocket. Audio-to-pose latency of a frame is
the time from writing the last sample of its audio to the arrival of its packet. Times of stages and
the jitter of the output are the process's own figures.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.perf.live_process import LiveProcess
from bench.perf.virtual_mic import reaction_report
from engine.audio import SAMPLE_RATE
from engine.bundle.io import DEMO_SOUND
from engine.clock import FrameClock
from engine.timing import percentiles
from exporters.commands.common import say

_BLOCK = 160
_OWN = ("audio_to_pose_ms", "compute_ms", "jitter_ms", "stages_ms", "rtf", "terms", "events")


@dataclass
class OutsideRun:
    """Result of one run.

    Attributes:
        frames: index of each frame.
        latency_ms: audio-to-pose latency of each frame.
        arrivals_s: arrival time of each frame.
        report: the process's own summary.
        startup_s: time from start to first pose.
        cpu_s: CPU time.
        peak_mb: peak resident memory.

    """

    frames: list[int]
    latency_ms: list[float]
    arrivals_s: list[float]
    report: dict[str, Any]
    startup_s: float
    cpu_s: float
    peak_mb: float

    def summary(self, audio_s: float) -> dict[str, Any]:
        """Percentiles, frame rate and resources."""
        span = self.arrivals_s[-1] - self.arrivals_s[0]
        gaps = np.diff(self.arrivals_s) * 1000
        return {
            "hop_frames": self.report["hop_frames"],
            "frames": len(self.frames),
            "fps": round((len(self.frames) - 1) / span, 3),
            "audio_to_pose_ms": percentiles(self.latency_ms),
            "gap_ms": percentiles(list(gaps)),
            "late_frames": self.report["late_frames"],
            "first_pose_after_start_s": round(self.startup_s, 2),
            "core_share": round(self.cpu_s / audio_s, 3),
            "peak_rss_mb": round(self.peak_mb, 1),
            "inside": {key: self.report[key] for key in _OWN},
        }


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "latency", help="audio-to-pose latency through standard input and a WebSocket"
    )
    parser.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of each run")
    parser.add_argument(
        "--hop", type=int, nargs="+", metavar="N", help="one run for each (default: the bundle's)"
    )
    parser.add_argument(
        "--virtual-mic",
        action="store_true",
        help="also time from played syllables to jaw motion, by a virtual sound card (PulseAudio)",
    )
    parser.add_argument("rest", nargs="*", metavar="-- OPTION", help="options of emage-live")


def latency_command(options: argparse.Namespace) -> int:
    """Print two tables, and one line of JSON."""
    sound = read_speech(options.wav, options.seconds)
    hops: list[list[str]] = [["--hop", str(hop)] for hop in options.hop or []] or [[]]
    runs = [measure(sound, [*hop, *options.rest]).summary(options.seconds) for hop in hops]
    say(table(runs))
    say(stage_table(runs))
    result: dict[str, Any] = {"runs": runs}
    if options.virtual_mic:
        found = [reaction_report([*hop, *options.rest], options.seconds) for hop in hops]
        for report in found:
            say(f"hop {report['hop_frames']}: played sound to jaw motion, ms: {report['ms']}")
        result["virtual_mic"] = found
    print(json.dumps(result))
    return 0


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Runs as text, milliseconds."""
    head = f"{'hop':>4s}{'p50':>8s}{'p95':>8s}{'p99':>8s}{'max':>8s}{'late':>6s}{'frames':>8s}"
    lines = [f"{head}{'RTF':>7s}{'cores':>7s}{'MB':>7s}{'jitter p99':>12s}   audio to pose, ms"]
    for run in runs:
        shown, inside = run["audio_to_pose_ms"], run["inside"]
        lines.append(
            f"{run['hop_frames']:4d}"
            + "".join(f"{shown[at]:8.1f}" for at in ("p50", "p95", "p99", "max"))
            + f"{run['late_frames']:6d}{run['frames']:8d}{inside['rtf']:7.3f}"
            + f"{run['core_share']:7.3f}{run['peak_rss_mb']:7.0f}{inside['jitter_ms']['p99']:12.2f}"
        )
    return "\n".join(lines)


def stage_table(runs: Sequence[dict[str, Any]]) -> str:
    """Stages of a hop as text, milliseconds."""
    lines = [f"{'hop':>4s}  {'stage':10s}{'p50':>8s}{'p95':>8s}{'p99':>8s}{'max':>8s}"]
    for run in runs:
        for stage, shown in run["inside"]["stages_ms"].items():
            if shown is not None:
                figures = "".join(f"{value:8.2f}" for value in shown.values())
                lines.append(f"{run['hop_frames']:4d}  {stage:10s}{figures}")
    return "\n".join(lines)


def measure(samples: np.ndarray, arguments: Sequence[str]) -> OutsideRun:
    """Run `emage-live --stdin` with `arguments` on mono 16 kHz `samples` (float) in real time."""
    with LiveProcess(["--stdin", *arguments], piped=True) as live:
        written = write_in_time(live.sound, samples)
        ended = live.finish()
    clock = FrameClock(SAMPLE_RATE, 30)
    latency = [
        (at - written[min(clock.first_sample(f.index + 1), len(samples)) - 1]) * 1000
        for at, f in live.received
    ]
    return OutsideRun(
        frames=[frame.index for _, frame in live.received],
        latency_ms=latency,
        arrivals_s=[at for at, _ in live.received],
        report=ended.report,
        startup_s=live.received[0][0] - live.began_s,
        cpu_s=ended.cpu_s,
        peak_mb=ended.peak_mb,
    )


def write_in_time(pipe: IO[bytes], samples: np.ndarray) -> np.ndarray:
    """Write in real time in blocks of 10 ms; the time each sample was written `[S]`."""
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2")
    times = np.zeros(len(pcm))
    origin = time.monotonic()
    for start in range(0, len(pcm), _BLOCK):
        end = min(start + _BLOCK, len(pcm))
        wait_s = origin + end / SAMPLE_RATE - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        times[start:end] = time.monotonic()
        pipe.write(pcm[start:end].tobytes())
    return times


def read_speech(path: Path, seconds: float) -> np.ndarray:
    """`seconds` of an audio file at 16 kHz, repeated if it is shorter."""
    from engine.audio.source import WavSource

    sound = np.concatenate([block.samples for block in WavSource(path).blocks()])
    return np.resize(sound, int(seconds * SAMPLE_RATE))
