"""emage-live: speech in, poses out, live."""

import argparse
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.audio.player import Player
from engine.audio.queue import QueueSource
from engine.audio.source import AudioSource, MicSource, StdinSource, WavSource, list_devices
from engine.errors import ConfigError
from engine.events import EventCounter
from engine.live import LiveSession, SessionHooks
from engine.pose import PoseSink
from engine.statistics import Summary
from engine.stream import GestureStream
from exporters.address import Address, parse_address
from exporters.commands.common import (
    add_model_options,
    guarded,
    load_for_use,
    say,
    speaker_of,
    told_events,
)
from exporters.commands.control import SessionControl
from exporters.commands.kernels import leave_cores_to, spared
from exporters.commands.memory import give_back_memory
from exporters.commands.priority import go_first
from exporters.commands.quiet import QuietSound
from exporters.commands.steps import add_kernel_option, ready_networks
from exporters.commands.words import WordSource
from exporters.npz import NpzSink
from exporters.vmc import VmcSink
from exporters.websocket import WebSocketServer

ASSETS = Path(__file__).parent / "assets"
DEMO_SOUND = ASSETS / "demo.flac"
DEMO_WORDS = ASSETS / "demo.tsv"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `emage-live`; returns the exit status."""
    options = _parser().parse_args(argv)
    return guarded(_devices) if options.list_devices else guarded(_live, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="emage-live",
        description="Speech in, a moving avatar out, live.",
        epilog="Without a source, sound is taken from WebSocket clients (--ws).",
    )
    _add_sources(parser)
    add_model_options(parser)
    parser.add_argument("--hop", type=int, metavar="N", help="new frames per step")
    parser.add_argument("--lookahead", type=int, metavar="N", help="frames of future audio")
    add_kernel_option(parser)
    parser.add_argument("--vmc", action="append", default=[], metavar="HOST:PORT")
    parser.add_argument("--vmc-split", action="store_true", help="datagrams under 1400 bytes")
    parser.add_argument("--ws", metavar="[HOST:]PORT", help="serve poses, take sound and words")
    parser.add_argument(
        "--ws-origin", action="append", default=[], metavar="URL", help="page that may connect"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.npz")
    parser.add_argument("--play", action="store_true", help="play the sound in step")
    parser.add_argument("--view", action="store_true", help="open a page that shows the avatar")
    parser.add_argument("--fps", type=int, metavar="N", help="frames a second handed out")
    parser.add_argument("--speed", choices=("realtime", "max"), default="realtime")
    parser.add_argument("--duration", type=float, metavar="S", help="end after S seconds of sound")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--list-devices", action="store_true")
    parser.add_argument("--json", action="store_true", help="last line: the summary as JSON")
    return parser


def _add_sources(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--mic", nargs="?", const="", metavar="DEV", help="microphone")
    group.add_argument("--wav", type=Path, metavar="FILE", help="any sound file")
    group.add_argument("--stdin", action="store_true", help="16-bit mono PCM; needs --rate")
    group.add_argument("--demo", action="store_true", help="a clip that comes with the package")
    parser.add_argument("--rate", type=int, default=16000, metavar="HZ", help="of --stdin")
    parser.add_argument("--words", type=Path, metavar="FILE", help="TextGrid, TSV or JSON lines")


def _devices() -> int:
    devices = list_devices()
    if not devices:
        say("no microphone found; connect one and try again")
    for device in devices:
        say(str(device))
    return 0


def _source(options: argparse.Namespace, events: EventCounter) -> tuple[AudioSource, str]:
    """The source and the option that named it."""
    if options.mic is not None:
        return MicSource(options.mic or None, events), "--mic"
    if options.stdin:
        stdin = getattr(sys.stdin, "buffer", None)  # None where it is closed
        return StdinSource(stdin, options.rate, events), "--stdin"
    if options.wav is not None:
        return WavSource(options.wav, events=events), "--wav"
    if options.demo:
        repeats = options.view and options.duration is None
        return (DemoSource(DEMO_SOUND) if repeats else WavSource(DEMO_SOUND)), "--demo"
    if options.ws is None:
        raise ConfigError(
            "no sound: choose --mic, --wav FILE, --stdin or --demo, or --ws PORT to take it from a "
            "WebSocket client"
        )
    return QueueSource(events), "--ws"


class DemoSource:
    """The demo clip again and again, until closed."""

    sample_rate = WavSource.sample_rate
    paced = False
    delay_s = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._now = WavSource(path)
        self._closed = threading.Event()

    def blocks(self) -> Any:
        """The clip's blocks, endlessly."""
        while not self._closed.is_set():
            yield from self._now.blocks()
            if not self._closed.is_set():
                self._now = WavSource(self._path)

    def close(self) -> None:
        """End `blocks`."""
        self._closed.set()
        self._now.close()


def _live(options: argparse.Namespace) -> int:
    _check(options)
    events = told_events()
    with ExitStack() as stack:
        if options.mic is not None or options.play:
            stack.enter_context(QuietSound())
        source, source_name = _source(options, events)
        stack.callback(source.close)
        stream, name = _stream(options, events)
        give_back_memory()
        control = SessionControl(source, source_name)
        server = _server(options, control, events)
        sinks = _sinks(options, server, events)
        hooks = SessionHooks()
        session = LiveSession(
            stream,
            source,
            sinks,
            events=events,
            bundle_name=name,
            realtime=options.speed == "realtime",
            output_rate=options.fps,
            duration_s=options.duration,
            hooks=hooks,
        )
        _stop_on_signals(session)
        if options.speed == "realtime":
            session.prepare()
        _open_sinks(sinks, session, stack)
        if server is not None:
            hooks.taps.append(server.broadcast_audio)
            hooks.stats.append(server.broadcast_stats)
            hooks.words.append(server.broadcast_words)
            say(f"websocket: ws://{Address(server.host, server.port)}")
        player = _player(options, session, hooks, stack)
        if options.view and server is not None:
            stack.enter_context(Viewer(server.port))
        _words(options, session, events, stack)
        control.session = session
        if options.speed == "realtime":
            go_first()
        summary = session.run()
        _report(summary, player, sinks, options.json)
    return 0


def _stream(options: argparse.Namespace, events: EventCounter) -> tuple[GestureStream, str]:
    """The stream that is asked for, and the name of its bundle."""
    bundle = load_for_use(options.model)
    schedule = bundle.config.schedule.with_hop(options.hop, options.lookahead)
    networks = ready_networks(options.kernel, bundle, schedule, say)
    stream = GestureStream(
        spared(networks["kernel"], bundle),
        **networks,
        schedule=schedule,
        speaker=speaker_of(options.speaker, bundle),
        seed=options.seed,
        events=events,
    )
    leave_cores_to(networks["kernel"])
    return stream, bundle.config.name


def _check(options: argparse.Namespace) -> None:
    if options.fps is not None and not 1 <= options.fps <= 240:
        raise ConfigError(f"--fps must be 1 to 240, got {options.fps}")
    if options.duration is not None and not options.duration > 0:
        raise ConfigError(f"--duration must be more than 0 seconds, got {options.duration}")
    if options.speed == "max" and (options.play or options.mic is not None):
        raise ConfigError("--speed max goes with --wav, --stdin or --demo, without --play")


def _server(
    options: argparse.Namespace, control: SessionControl, events: EventCounter
) -> WebSocketServer | None:
    if options.ws is None and not options.view:
        return None
    address = parse_address(options.ws) if options.ws is not None else Address("127.0.0.1", 0)
    return WebSocketServer(
        address.host,
        address.port,
        control=control,
        events=events,
        allowed_origins=options.ws_origin,
    )


def _sinks(
    options: argparse.Namespace, server: WebSocketServer | None, events: EventCounter
) -> list[PoseSink]:
    sinks: list[PoseSink] = [
        VmcSink(parse_address(text), events=events, split=options.vmc_split) for text in options.vmc
    ]
    if server is not None:
        sinks.append(server)
    if options.out is not None:
        sinks.append(NpzSink(options.out, events=events))
    return sinks


def _open_sinks(sinks: Sequence[PoseSink], session: LiveSession, stack: ExitStack) -> None:
    """Open all or none; what was opened is closed again if a later one fails."""
    for sink in sinks:
        sink.open(session.output_format)
        stack.callback(sink.close)
        note = getattr(sink, "note", None)
        if note:
            say(f"note: {note}")


def _player(
    options: argparse.Namespace, session: LiveSession, hooks: SessionHooks, stack: ExitStack
) -> Player | None:
    if not options.play:
        return None
    # A frame is shown when its last sample is due; the middle of its sound belongs with it.
    player = Player(session.heard_s, session.delay_s + 0.5 / session.output.frame_rate)
    stack.callback(player.close)
    hooks.taps.append(player.take)
    return player


def _words(
    options: argparse.Namespace, session: LiveSession, events: EventCounter, stack: ExitStack
) -> None:
    path = options.words
    if path is None and options.demo:
        path = DEMO_WORDS
    if path is not None:
        words = WordSource(path, session.push_words, events)
        stack.callback(words.close)
        words.start()


def _stop_on_signals(session: LiveSession) -> None:
    def stop(*_: object) -> None:
        session.stop()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)


class Viewer:
    """The viewer in a process of its own; its address is printed once it is known."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Viewer":
        command = [sys.executable, "-m", "exporters.viewer", "--ws", f"ws://127.0.0.1:{self._port}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._relay, name="viewer-output", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _relay(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            say(line.rstrip())


def _report(
    summary: Summary, player: Player | None, sinks: Sequence[PoseSink], as_json: bool
) -> None:
    result = summary.as_json()
    if player is not None:
        result["play_offset_ms"] = player.offset_ms()
        say(f"sound after motion: {result['play_offset_ms']} ms")
    for sink in sinks:
        note = getattr(sink, "note", None)
        if isinstance(sink, NpzSink) and note:
            say(f"note: {note}")
    if as_json:
        print(json.dumps(result), flush=True)
        return
    latency = summary.audio_to_pose_ms
    say(
        f"{summary.frames} frames of {summary.audio_s:.1f} s at {summary.fps_out:.2f} frames/s; "
        f"compute {summary.rtf:.3f} x real time; {summary.late_frames} late"
    )
    if latency is not None:
        say(f"audio to pose: median {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms")
    faults = {name: count for name, count in summary.events.items() if count}
    if faults:
        say(f"events: {faults}")


if __name__ == "__main__":
    sys.exit(main())
