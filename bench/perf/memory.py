"""Memory of a live process: `emage-bench memory`.

Speech is written to emage-live in real time while its resident memory is sampled: after the first
pose, a minute later, at the end, and the growth in between.
"""

import argparse
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.perf.latency import read_speech, write_in_time
from bench.perf.live_process import LiveProcess
from engine.bundle.io import DEMO_SOUND
from exporters.commands.common import say

_EVERY_S = 1.0
_SETTLED_S = 60.0  # buffers allocated in the first minute do not count as growth


@dataclass(frozen=True)
class Reading:
    """Resident memory `seconds` after the first pose."""

    seconds: float
    rss_mb: float


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "memory", help="resident memory after loading and after a minute, and its growth"
    )
    parser.add_argument("--minutes", type=float, default=3.0, metavar="M")
    parser.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    parser.add_argument("rest", nargs="*", metavar="-- OPTION", help="options of emage-live")


def memory_command(options: argparse.Namespace) -> int:
    """Print one line of text, and one of JSON."""
    sound = read_speech(options.wav, options.minutes * 60)
    result = summary(*watch(sound, options.rest))
    say(
        f"{result['after_load_mb']} MB after loading, {result['after_minute_mb']} after a minute, "
        f"{result['at_end_mb']} at the end, growth {result['growth_mb_per_minute']} per minute; "
        f"peak {result['peak_mb']}"
    )
    print(json.dumps(result))
    return 0


def watch(samples: np.ndarray, arguments: Sequence[str]) -> tuple[list[Reading], float]:
    """Run emage-live on `samples` in real time; readings every second, and the peak in MB."""
    readings: list[Reading] = []
    over = threading.Event()
    with LiveProcess(["--stdin", *arguments], piped=True) as live:

        def read() -> None:
            while not over.wait(_EVERY_S):
                if live.received:
                    since_s = time.monotonic() - live.received[0][0]
                    readings.append(Reading(since_s, live.rss_mb))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        write_in_time(live.sound, samples)
        over.set()
        reader.join()
        ended = live.finish()
    return readings, ended.peak_mb


def summary(
    readings: Sequence[Reading], peak_mb: float, settled_s: float = _SETTLED_S
) -> dict[str, Any]:
    """Figures of readings; growth is the slope of a line through those after `settled_s`."""
    later = [reading for reading in readings if reading.seconds >= settled_s]
    shown = later or list(readings[-1:])
    return {
        "after_load_mb": round(readings[0].rss_mb, 1),
        "after_minute_mb": round(shown[0].rss_mb, 1),
        "at_end_mb": round(shown[-1].rss_mb, 1),
        "growth_mb_per_minute": round(growth(shown), 3),
        "peak_mb": round(peak_mb, 1),
        "seconds": round(readings[-1].seconds, 1),
    }


def growth(readings: Sequence[Reading]) -> float:
    """MB per minute; 0 for a single reading."""
    if len(readings) < 2:
        return 0.0
    minutes = np.array([reading.seconds / 60 for reading in readings])
    sizes = np.array([reading.rss_mb for reading in readings])
    return float(np.polyfit(minutes - minutes.mean(), sizes, 1)[0])
