"""emage-live: speech in, poses out, live."""

import argparse
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from engine.audio.player import Player
from engine.audio.queue import QueueSource
from engine.audio.source import AudioSource, MicSource, StdinSource, WavSource, list_devices
from engine.bundle.io import DEMO_SOUND, DEMO_WORDS
from engine.errors import ConfigError, ExportError, as_gesture_error
from engine.events import EventCounter
from engine.kernels.build_target import BuildTarget
from engine.motion.pose import PoseSink
from engine.session.base import Session, SessionOptions
from engine.session.live import LiveSession
from engine.session.receivers import SessionHooks
from engine.session.render import RenderSession
from engine.session.telemetry import Summary
from engine.stream.build_step import drop_network_weights
from engine.stream.select_step import select_live_step
from engine.stream.stream import GestureStream
from engine.system.cache import cache_folder
from engine.system.memory import trim_heap
from engine.system.version import version_line
from exporters.address import LOOPBACK, Address
from exporters.commands.common import (
    add_kernel_option,
    add_model_options,
    add_seed_option,
    load_bundle_for_cli,
    parse_speaker,
    reporting_events,
    say,
)
from exporters.commands.control import SessionControl
from exporters.commands.options import (
    CommandParser,
    address,
    origin,
    run_command,
    whole,
)
from exporters.commands.process import raise_priority
from exporters.commands.quiet import QuietSound
from exporters.commands.stopping import Stopping, stoppable
from exporters.commands.viewer import Viewer, require_viewer
from exporters.commands.word_source import WordSource
from exporters.npz import NpzSink
from exporters.vmc import VmcSink
from exporters.websocket import WebSocketServer


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `emage-live`; returns the exit status."""
    return run_command(_parser(), _run, argv)


def _run(options: argparse.Namespace) -> int:
    with stoppable() as stopping:
        return _devices() if options.list_devices else _live(options, stopping)
    return 0  # stopped before the session began


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="emage-live",
        description="Speech in, a moving avatar out, live.",
        epilog="Without a source, sound is taken from WebSocket clients (--ws).",
    )
    _add_sources(parser)
    add_model_options(parser)
    parser.add_argument(
        "--hop", type=whole(1), metavar="N", help="new frames per step (default: 1, if it holds)"
    )
    parser.add_argument("--lookahead", type=int, metavar="N", help="frames of future audio")
    add_kernel_option(parser)
    parser.add_argument("--vmc", action="append", type=address, default=[], metavar="HOST:PORT")
    parser.add_argument("--vmc-split", action="store_true", help="datagrams under 1400 bytes")
    parser.add_argument(
        "--ws", type=address, metavar="[HOST:]PORT", help="serve poses, take sound and words"
    )
    parser.add_argument(
        "--ws-origin",
        action="append",
        type=origin,
        default=[],
        metavar="URL",
        help="site whose pages may connect, as https://example.org; null: pages without one",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.npz")
    parser.add_argument("--play", action="store_true", help="play the sound in step")
    parser.add_argument("--view", action="store_true", help="open a page that shows the avatar")
    parser.add_argument("--fps", type=whole(1, 240), metavar="N", help="frames a second handed out")
    parser.add_argument("--speed", choices=("realtime", "max"), default="realtime")
    parser.add_argument("--duration", type=float, metavar="S", help="end after S seconds of sound")
    add_seed_option(parser)
    parser.add_argument("--list-devices", action="store_true")
    parser.add_argument("--json", action="store_true", help="last line: the summary as JSON")
    parser.add_argument("--version", action="version", version=version_line())
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
        stdin = getattr(sys.stdin, "buffer", None)  # None if it is closed
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
    """The demo clip in an endless loop, until closed."""

    sample_rate = WavSource.sample_rate
    paced = False
    delay_s = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._now = WavSource(path)
        self._closed = threading.Event()

    def blocks(self) -> Any:
        """Blocks of the clip, endlessly."""
        while not self._closed.is_set():
            yield from self._now.blocks()
            if not self._closed.is_set():
                self._now = WavSource(self._path)

    def close(self) -> None:
        """End `blocks`."""
        self._closed.set()
        self._now.close()


def _live(options: argparse.Namespace, stopping: Stopping) -> int:
    _check(options)
    events = reporting_events()
    with ExitStack() as stack:
        if options.mic is not None or options.play:
            stack.enter_context(QuietSound())
        source, source_name = _source(options, events)
        stack.callback(source.close)
        stream = _stream(options, events)
        stopping.check()
        trim_heap()
        control = SessionControl(source, source_name)
        server = _server(options, control, events)
        sinks = _sinks(options, server, events)
        hooks = SessionHooks()
        wanted = SessionOptions(options.fps, options.duration, hooks)
        session: Session
        if options.speed == "realtime":
            session = live = LiveSession(stream, source, sinks, wanted)
            live.prepare()
        else:
            session = RenderSession(stream, source, sinks, wanted)
        stopping.on_signal(session.stop)
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
            raise_priority()
        with _reported(session, player, sinks, options.json):
            session.run()
    return 0


def _stream(options: argparse.Namespace, events: EventCounter) -> GestureStream:
    """The stream that the options describe."""
    bundle = load_bundle_for_cli(options.model)
    target = BuildTarget(bundle, bundle.config.schedule, cache_folder(), say)
    step, schedule = select_live_step(options.kernel, target, options.hop, options.lookahead)
    return GestureStream(
        drop_network_weights(step, bundle),
        step=step,
        schedule=schedule,
        speaker=parse_speaker(options.speaker, bundle),
        seed=options.seed,
        events=events,
    )


def _check(options: argparse.Namespace) -> None:
    if options.view:
        require_viewer()
    if options.speed == "max" and (options.play or options.mic is not None):
        raise ConfigError("--speed max goes with --wav, --stdin or --demo, without --play")


def _server(
    options: argparse.Namespace, control: SessionControl, events: EventCounter
) -> WebSocketServer | None:
    if options.ws is None and not options.view:
        return None
    place = options.ws if options.ws is not None else Address(LOOPBACK, 0)
    return WebSocketServer(
        place.host,
        place.port,
        control=control,
        events=events,
        allowed_origins=options.ws_origin,
    )


def _sinks(
    options: argparse.Namespace, server: WebSocketServer | None, events: EventCounter
) -> list[PoseSink]:
    sinks: list[PoseSink] = [
        VmcSink(place, events=events, split=options.vmc_split) for place in options.vmc
    ]
    if server is not None:
        sinks.append(server)
    if options.out is not None:
        sinks.append(NpzSink(options.out, events=events))
    return sinks


def _open_sinks(sinks: Sequence[PoseSink], session: Session, stack: ExitStack) -> None:
    """Open all sinks or none; if one fails, the opened ones are closed."""
    for sink in sinks:
        sink.open(session.output_format)
        stack.callback(sink.close)
        note = getattr(sink, "note", None)
        if note:
            say(f"note: {note}")


def _player(
    options: argparse.Namespace, session: Session, hooks: SessionHooks, stack: ExitStack
) -> Player | None:
    if not options.play:
        return None
    # A frame is shown when its last sample is due; it belongs to the middle of its audio.
    half_s = 0.5 / session.output.frame_rate
    player = Player(session.captured_s, lambda: session.delay_s + half_s)
    stack.callback(player.close)
    hooks.taps.append(player.take)
    return player


def _words(
    options: argparse.Namespace, session: Session, events: EventCounter, stack: ExitStack
) -> None:
    path = options.words
    if path is None and options.demo:
        path = DEMO_WORDS
    if path is not None:
        words = WordSource(path, session.push_words, events, failed=session.fail)
        stack.callback(words.close)
        words.start()


@contextmanager
def _reported(
    session: Session, player: Player | None, sinks: Sequence[PoseSink], as_json: bool
) -> Iterator[None]:
    """Report the session's figures, also after a failure; ExportError for an incomplete clip.

    GestureError for any other failure.
    """
    try:
        yield
    except BaseException as error:
        _report(session.summary(), player, sinks, as_json)
        raise as_gesture_error(error, "the live session") from error
    _report(session.summary(), player, sinks, as_json)
    for sink in sinks:
        if isinstance(sink, NpzSink) and sink.lost:
            raise ExportError(str(sink.note))


def _report(
    summary: Summary, player: Player | None, sinks: Sequence[PoseSink], as_json: bool
) -> None:
    result = summary.as_json()
    if player is not None:
        result["play_offset_ms"] = player.offset_ms()
        say(f"sound after motion: {result['play_offset_ms']} ms")
    for sink in sinks:
        note = getattr(sink, "note", None)
        if isinstance(sink, NpzSink) and note and not sink.lost:
            say(f"note: {note}")
    if as_json:
        say(json.dumps(result))
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
