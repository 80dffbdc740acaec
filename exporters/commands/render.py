"""emage-render: a sound file in, a motion file out. The live stream, fed as fast as it goes."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from engine.audio.source import WavSource
from engine.events import EventCounter
from engine.live import LiveSession
from engine.stream import GestureStream
from exporters.commands.common import (
    add_model_options,
    guarded,
    named_schedule,
    one_core_bundle,
    say,
    speaker_of,
)
from exporters.commands.words import WordSource
from exporters.npz import NpzSink


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `emage-render`; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="emage-render", description="Render the motion of a sound file."
    )
    parser.add_argument("input", type=Path, metavar="IN", help="any sound file")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.npz")
    parser.add_argument(
        "--schedule",
        choices=("offline", "live"),
        default="live",
        help="windows of 64 frames with 4 seeds, or the bundle's own live hops (default)",
    )
    parser.add_argument("--words", type=Path, metavar="FILE", help="TextGrid, TSV or JSON lines")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    add_model_options(parser)
    options = parser.parse_args(argv)
    return guarded(_render, options)


def _render(options: argparse.Namespace) -> int:
    events = EventCounter()
    source = WavSource(options.input, events=events)
    bundle = one_core_bundle(options.model)
    stream = GestureStream(
        bundle,
        schedule=named_schedule(options.schedule, bundle),
        speaker=speaker_of(options.speaker),
        seed=options.seed,
        events=events,
    )
    sink = NpzSink(options.out, events=events)
    session = LiveSession(
        stream, source, [sink], events=events, bundle_name=bundle.config.name, realtime=False
    )
    with ExitStack() as stack:
        if options.words is not None:
            words = WordSource(options.words, session.push_words, events)
            stack.callback(words.close)
            words.start()
        sink.open(session.output_format)
        stack.callback(sink.close)
        summary = session.run()
    if sink.note:
        say(f"note: {sink.note}")
    say(
        f"{options.out}: {summary.frames} frames of {summary.audio_s:.1f} s, "
        f"computed in {summary.rtf:.3f} x real time"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
