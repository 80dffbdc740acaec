"""emage-render: sound files in, motion files out. The live stream, fed as fast as it goes."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.audio.source import WavSource
from engine.bundle import Bundle
from engine.errors import ConfigError, ExportError, GestureError
from engine.events import EventCounter
from engine.live import LiveSession
from engine.statistics import Summary
from engine.stream import GestureStream
from engine.version import version_line
from exporters.commands.common import (
    EXIT_ERROR,
    add_model_options,
    guarded,
    load_for_use,
    named_schedule,
    say,
    speaker_of,
)
from exporters.commands.steps import add_kernel_option, ready_networks
from exporters.commands.words import WordSource
from exporters.npz import NpzSink

_SOUNDS: Final = (".wav", ".flac", ".ogg", ".mp3", ".aiff")
_WORDS: Final = (".TextGrid", ".tsv", ".jsonl")
_SETTINGS: Final = "render.json"
"""What a folder was rendered with, so that going on later cannot mix two things."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `emage-render`; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="emage-render",
        description="Render the motion of sound files. Several files, or a folder of them, go into "
        "a folder; what is there already is not rendered again.",
    )
    parser.add_argument("input", type=Path, nargs="+", metavar="IN", help="sound files or folders")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT", help="OUT.npz, or a folder"
    )
    parser.add_argument(
        "--schedule",
        choices=("offline", "live"),
        default="live",
        help="the model's windows for whole files, or its live hops (default)",
    )
    parser.add_argument(
        "--words", type=Path, metavar="FILE", help="TextGrid, TSV or JSON lines; or a folder"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--overwrite", action="store_true", help="render finished files again")
    add_model_options(parser)
    add_kernel_option(parser)
    parser.add_argument("--version", action="version", version=version_line())
    return guarded(_render, parser.parse_args(argv))


@dataclass(frozen=True)
class _Job:
    sound: Path
    target: Path
    words: Path | None


def _render(options: argparse.Namespace) -> int:
    several = len(options.input) > 1 or options.input[0].is_dir()
    if several and options.out.suffix == ".npz":
        raise ConfigError(f"several files need a folder to go to, got {options.out}")
    if options.out.suffix == ".npz":
        job = _Job(options.input[0], options.out, options.words)
        say(_line(job, _render_one(job, load_for_use(options.model), options)))
        return 0
    return _render_folder(options)


def _render_folder(options: argparse.Namespace) -> int:
    jobs = _jobs(options)
    todo = [job for job in jobs if options.overwrite or not job.target.is_file()]
    if len(todo) < len(jobs):
        say(f"{len(jobs) - len(todo)} of {len(jobs)} files are there already")
    bundle = load_for_use(options.model)
    _agree(options, bundle)
    failed, began = [], time.monotonic()
    for number, job in enumerate(todo, 1):
        try:
            line = _line(job, _render_one(job, bundle, options))
        except GestureError as error:
            failed.append(job)
            line = f"error: {error}"
        left_s = (time.monotonic() - began) / number * (len(todo) - number)
        say(f"{number}/{len(todo)} {line}; about {left_s:.0f} s left")
    if failed:
        names = ", ".join(job.sound.name for job in failed)
        print(
            f"error: {len(failed)} of {len(todo)} files could not be rendered: {names}; the others "
            "are complete: mend these and run the command again",
            file=sys.stderr,
        )
    return EXIT_ERROR if failed else 0


def _jobs(options: argparse.Namespace) -> list[_Job]:
    """One job a sound file; ConfigError where two would be written to one place."""
    sounds: list[Path] = []
    for path in options.input:
        if path.is_dir():
            sounds += sorted(p for p in path.iterdir() if p.suffix.lower() in _SOUNDS)
        else:
            sounds.append(path)
    if not sounds:
        raise ConfigError(f"no sound files in {options.input[0]}; expected {', '.join(_SOUNDS)}")
    if options.words is not None and not options.words.is_dir():
        raise ConfigError(
            f"several files need a folder of words, got {options.words}; in it, a.TextGrid belongs "
            "to a.wav"
        )
    stems = [sound.stem for sound in sounds]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice:
        raise ConfigError(
            f"two of the files are called {min(twice)} and would become one; render them into "
            "folders of their own"
        )
    return [
        _Job(sound, options.out / f"{sound.stem}.npz", _words_of(sound, options.words))
        for sound in sounds
    ]


def _words_of(sound: Path, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    found = (folder / f"{sound.stem}{suffix}" for suffix in _WORDS)
    return next((path for path in found if path.is_file()), None)


def _agree(options: argparse.Namespace, bundle: Bundle) -> None:
    """Make the folder, or see that it was made with the same settings."""
    settings = {
        "bundle": bundle.config.name,
        "schedule": options.schedule,
        "speaker": options.speaker,
        "seed": options.seed,
    }
    note = options.out / _SETTINGS
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        found = json.loads(note.read_text()) if note.is_file() else settings
        if found != settings and not options.overwrite:
            raise ConfigError(
                f"{options.out} was rendered with {found}, now {settings} is wanted; choose "
                "another folder, or --overwrite"
            )
        note.write_text(json.dumps(settings) + "\n")
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{options.out} cannot be used as a folder of renderings ({error}); choose another"
        ) from error


def _render_one(job: _Job, bundle: Bundle, options: argparse.Namespace) -> Summary:
    events = EventCounter()
    source = WavSource(job.sound, events=events)
    schedule = named_schedule(options.schedule, bundle)
    stream = GestureStream(
        bundle,
        **ready_networks(options.kernel, bundle, schedule, say),
        schedule=schedule,
        speaker=speaker_of(options.speaker, bundle),
        seed=options.seed,
        events=events,
    )
    sink = NpzSink(job.target, events=events)
    session = LiveSession(
        stream, source, [sink], events=events, bundle_name=bundle.config.name, realtime=False
    )
    with ExitStack() as stack:
        if job.words is not None:
            words = WordSource(job.words, session.push_words, events)
            stack.callback(words.close)
            words.start()
        sink.open(session.output_format)
        stack.callback(sink.close)
        summary = session.run()
    if sink.note:
        say(f"note: {sink.note}")
    return summary


def _line(job: _Job, summary: Summary) -> str:
    return (
        f"{job.target}: {summary.frames} frames of {summary.audio_s:.1f} s, "
        f"computed in {summary.rtf:.3f} x real time"
    )


if __name__ == "__main__":
    sys.exit(main())
