"""Endurance: `emage-bench soak`.

A live session for as many minutes as wanted, possibly in faster seconds, while things go wrong
around it (`bench.perf.faults`): faults are counted, not one frame is missing or doubled, and the
process is as large at the end as it was after its first minute.
"""

import argparse
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

from bench.perf.clients import ClientChurn
from bench.perf.faults import ControlFuzzer, StallingSource
from bench.perf.latency import read_speech
from bench.perf.live_process import resident_mb
from bench.perf.memory import Reading, growth
from engine.bundle.io import DEFAULT_BUNDLE, DEMO_SOUND
from engine.events import EventCounter
from engine.kernels.eager import EagerKernel
from engine.motion.pose import PoseFormat, PoseFrame, PoseSink
from engine.session.clock import SessionClock
from engine.session.live import LiveSession, SessionHooks
from engine.stream.build_step import drop_network_weights
from engine.stream.select_step import select_step
from engine.stream.stream import GestureStream
from engine.system.memory import trim_heap
from engine.timing import Summary
from exporters.address import Address
from exporters.commands.common import add_seed_option, load_bundle_for_cli, say
from exporters.commands.control import SessionControl
from exporters.commands.options import whole
from exporters.vmc import VmcSink
from exporters.websocket import WebSocketServer

_EVERY_S = 2.0
_SETTLED_S = 60.0  # what is reserved in the first minute is no growth
_SOUND_S = 120.0


class Count:
    """A receiver that checks the numbers of the frames and keeps none."""

    def __init__(self) -> None:
        self.frames = 0
        self.gaps = 0

    def open(self, fmt: PoseFormat) -> None:
        """Nothing to do."""

    def send(self, frame: PoseFrame) -> None:
        """Each frame must follow the one before."""
        self.gaps += frame.index != self.frames
        self.frames = frame.index + 1

    def close(self) -> None:
        """Nothing to do."""


class Size:
    """Reads this process's memory every two seconds, in a thread."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self._over = threading.Event()
        self._begin_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> list[Reading]:
        """End; all readings."""
        self._over.set()
        self._thread.join()
        return self.readings

    def _run(self) -> None:
        while not self._over.wait(_EVERY_S):
            self.readings.append(Reading(time.monotonic() - self._begin_s, resident_mb()))


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "soak", help="a long live session in which things go wrong: frames, faults, memory"
    )
    parser.add_argument("--minutes", type=float, default=30.0, metavar="M", help="by the clock")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="seconds a second")
    parser.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    parser.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    parser.add_argument("--hop", type=whole(1), metavar="N", help="new frames per step")
    parser.add_argument("--kernel", default=EagerKernel.name, metavar="NAME")
    add_seed_option(parser)


def soak_command(options: argparse.Namespace) -> int:
    """Print what happened, and one line of JSON."""
    bundle = load_bundle_for_cli(options.model)
    schedule = bundle.config.schedule.with_hop(options.hop, None)
    step = select_step(options.kernel, bundle, schedule, log=say)
    stream = GestureStream(
        drop_network_weights(step, bundle),
        step=step,
        schedule=schedule,
        events=(events := EventCounter()),
    )
    trim_heap()
    seconds = options.minutes * 60
    result = soak(stream, events, options.wav, seconds, options.speed, options.seed)
    say(
        f"{result['frames']} frames of {result['expected_frames']}, {result['gaps']} out of order, "
        f"{result['late_frames']} late; jitter p99 {result['jitter_ms']['p99']} ms"
    )
    say(f"done to it: {result['unrest']}; events: {result['events']}")
    say(
        f"memory: {result['rss_settled_mb']} MB when settled, {result['rss_end_mb']} at the end, "
        f"spread {result['rss_spread_mb']}, growing by {result['growth_mb_per_minute']} a minute"
    )
    print(json.dumps(result))
    return 0


def soak(
    stream: GestureStream, events: EventCounter, wav: Path, seconds: float, speed: float, seed: int
) -> dict[str, Any]:
    """Run for `seconds` by the clock, `speed` times as many of the session."""
    host = SessionClock(speed)
    source = StallingSource(read_speech(wav, _SOUND_S), host, seed=seed)
    control = SessionControl(source, "--wav")
    server = WebSocketServer("127.0.0.1", 0, control=control, events=events)
    count, hooks = Count(), SessionHooks()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        vmc = VmcSink(Address("127.0.0.1", receiver.getsockname()[1]), events=events)
        sinks: list[PoseSink] = [count, server, vmc]
        session = LiveSession(
            stream,
            source,
            sinks,
            events=events,
            bundle_name="soak",
            duration_s=seconds * speed,
            hooks=hooks,
            host=host,
        )
        session.prepare()
        for sink in sinks:
            sink.open(session.output_format)
        hooks.taps.append(server.broadcast_audio)
        hooks.stats.append(server.broadcast_stats)
        hooks.words.append(server.broadcast_words)
        control.session = session
        meddler, visitors = (
            ControlFuzzer(session, host, seed),
            ClientChurn(f"ws://127.0.0.1:{server.port}"),
        )
        meddler.start()
        size = Size()
        summary = session.run()
        meddler.stop()
        visited = visitors.stop()
    unrest = {"stalls": source.stalls, **meddler.done, **visited}
    expected = int(seconds * speed * stream.clock.frame_rate)
    return report(summary, count, expected, size.stop(), unrest)


def report(
    summary: Summary,
    count: Count,
    expected: int,
    readings: list[Reading],
    unrest: dict[str, int],
    settled_s: float = _SETTLED_S,
) -> dict[str, Any]:
    """Everything for the JSON line; readings before `settled_s` count if there are no others."""
    later = [reading for reading in readings if reading.seconds >= settled_s] or readings
    sizes = [reading.rss_mb for reading in later] or [float("nan")]
    return {
        "frames": count.frames,
        "expected_frames": expected,
        "gaps": count.gaps,
        "late_frames": summary.late_frames,
        "rtf": summary.rtf,
        "audio_to_pose_ms": summary.audio_to_pose_ms,
        "jitter_ms": summary.jitter_ms,
        "compute_ms": summary.compute_ms,
        "events": summary.events,
        "unrest": unrest,
        "rss_settled_mb": round(sizes[0], 1),
        "rss_end_mb": round(sizes[-1], 1),
        "rss_spread_mb": round(max(sizes) - min(sizes), 1),
        "growth_mb_per_minute": round(growth(later), 3),
    }
