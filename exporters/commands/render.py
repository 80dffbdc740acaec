"""emage-render: sound files in, motion files out, by a live stream at full speed."""

import argparse
import json
import sys
import time
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.audio.source import WavSource
from engine.bundle.io import Bundle
from engine.errors import AudioError, ConfigError, ExportError
from engine.events import EventCounter
from engine.generate.schedule import Schedule
from engine.session.base import SessionOptions
from engine.session.receivers import SessionHooks
from engine.session.render import RenderSession
from engine.session.telemetry import Summary
from engine.stream.select_step import select_step
from engine.stream.stream import GestureStream
from engine.system.atomic import atomic, write_text
from engine.system.version import version_line
from exporters.commands.common import (
    EXIT_ERROR,
    add_kernel_option,
    add_model_options,
    add_seed_option,
    complain,
    load_bundle_for_cli,
    parse_speaker,
    reporting_events,
    say,
    schedule_by_name,
)
from exporters.commands.options import CommandParser, run_command, whole
from exporters.commands.sounds import find_sounds
from exporters.commands.stopping import check_stopped
from exporters.commands.terminal import error_line
from exporters.commands.word_source import WordSource
from exporters.npz import NpzSink

_WORDS: Final = (".TextGrid", ".tsv", ".jsonl")
_SETTINGS: Final = "render.json"
"""Settings of a folder of renderings, so that a continued run uses the same ones."""
_MOST_NAMED: Final = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `emage-render`; returns the exit status."""
    parser = CommandParser(
        prog="emage-render",
        description="Render the motion of sound files. Several files, or a folder of them, go into "
        "a folder; renderings that exist are not repeated.",
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
    add_seed_option(parser)
    parser.add_argument("--overwrite", action="store_true", help="render finished files again")
    add_model_options(parser)
    parser.add_argument(
        "--hop", type=whole(1), metavar="N", help="new frames per live hop (default: the model's)"
    )
    add_kernel_option(parser)
    parser.add_argument("--version", action="version", version=version_line())
    return run_command(parser, _render, argv)


@dataclass(frozen=True)
class _Job:
    sound: Path
    target: Path
    words: Path | None

    @property
    def done(self) -> bool:
        """Whether the target is a complete clip, of any origin."""
        return self.target.is_file() and zipfile.is_zipfile(self.target)


def _render(options: argparse.Namespace) -> int:
    several = len(options.input) > 1 or options.input[0].is_dir()
    if several and options.out.suffix == ".npz":
        raise ConfigError(f"several files need a folder to go to, got {options.out}")
    if options.out.suffix == ".npz":
        job = _Job(options.input[0], options.out, options.words)
        say(_line(job, _Renderer(options, load_bundle_for_cli(options.model)).render(job)))
        return 0
    return _render_folder(options)


def _render_folder(options: argparse.Namespace) -> int:
    jobs = _jobs(options)
    bundle = load_bundle_for_cli(options.model)
    _check_settings(options, bundle, jobs)
    todo = [job for job in jobs if options.overwrite or not job.done]
    if len(todo) < len(jobs):
        say(f"{len(jobs) - len(todo)} of {len(jobs)} files are there already")
    failed = _render_all(todo, _Renderer(options, bundle)) if todo else []
    if failed:
        names = ", ".join(job.sound.name for job in failed[:_MOST_NAMED])
        more = f" and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
        complain(
            f"error: {len(failed)} of {len(todo)} files could not be rendered: {names}{more}; the "
            "others are complete: mend these and run the command again"
        )
    return EXIT_ERROR if failed else 0


def _render_all(todo: Sequence[_Job], renderer: "_Renderer") -> list[_Job]:
    """Render each job; returns the failed ones, with one line each. A fault stops no other file."""
    failed, began = [], time.monotonic()
    for number, job in enumerate(todo, 1):
        try:
            line = renderer.line(job)
        except Exception as error:  # of any kind: decoding libraries raise their own errors
            failed.append(job)
            line = "failed"
            text = error_line(error)
            named = text if job.sound.name in text else f"{job.sound}: {text}"
            complain(f"error: {named}")
        left_s = (time.monotonic() - began) / number * (len(todo) - number)
        say(f"{number}/{len(todo)} {line}; about {left_s:.0f} s left")
    return failed


def _jobs(options: argparse.Namespace) -> list[_Job]:
    """One job per sound file; ConfigError if two have the same target."""
    found = find_sounds(options.input)
    if options.words is not None and not options.words.is_dir():
        raise ConfigError(
            f"several files need a folder of words, got {options.words}; in it, a.TextGrid belongs "
            "to a.wav"
        )
    if note := found.note():
        say(note)
    return [
        _Job(sound, options.out / f"{sound.stem}.npz", _words_of(sound, options.words))
        for sound in found.sounds
    ]


def _words_of(sound: Path, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    found = (folder / f"{sound.stem}{suffix}" for suffix in _WORDS)
    return next((path for path in found if path.is_file()), None)


def _check_settings(options: argparse.Namespace, bundle: Bundle, jobs: Sequence[_Job]) -> None:
    """Create the folder, or check that it was made with the same settings."""
    settings = {
        "bundle": bundle.config.name,
        "schedule": options.schedule,
        "hop": schedule_of(options, bundle).hop,
        "words": None if options.words is None else str(options.words),
        "speaker": options.speaker,
        "seed": options.seed,
    }
    note = options.out / _SETTINGS
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        found = json.loads(note.read_text()) if note.is_file() else settings
        if found != settings:
            if not options.overwrite:
                raise ConfigError(
                    f"{options.out} was rendered with {found}, now {settings} is wanted; choose "
                    "another folder, or --overwrite"
                )
            for job in jobs:  # else they would count as done with the new settings
                job.target.unlink(missing_ok=True)
        write_text(note, json.dumps(settings) + "\n")
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{options.out} cannot be used as a folder of renderings ({error}); choose another"
        ) from error


class _Renderer:
    """Renders jobs with one model; ConfigError for an option that does not fit the model."""

    def __init__(self, options: argparse.Namespace, bundle: Bundle) -> None:
        self._options, self._bundle = options, bundle
        self._schedule = schedule_of(options, bundle)
        self._step = select_step(options.kernel, bundle, self._schedule, log=say)
        self._stream(EventCounter())

    def line(self, job: _Job) -> str:
        """Render unless another run has just done so; returns one line about it."""
        if job.done and not self._options.overwrite:
            return f"{job.target}: is there already"
        return _line(job, self.render(job))

    def render(self, job: _Job) -> Summary:
        """Render one sound; the target appears when it is complete."""
        try:
            with atomic(job.target) as part:
                return self._write(job, part)
        except OSError as error:
            raise ExportError(
                f"{job.sound} cannot be rendered to {job.target} ({error}); check both"
            ) from error

    def _write(self, job: _Job, part: Path) -> Summary:
        events = reporting_events()
        source = WavSource(job.sound, events=events)
        sink = NpzSink(part, events=events)
        hooks = SessionHooks(taps=[lambda *_: check_stopped()])
        stream, wanted = self._stream(events), SessionOptions(hooks=hooks)
        session = RenderSession(stream, source, [sink], wanted)
        with ExitStack() as stack:
            if job.words is not None:
                words = WordSource(job.words, session.push_words, events)
                stack.callback(words.close)
                words.start()
            sink.open(session.output_format)
            stack.callback(sink.close)
            summary = session.run()
        check_stopped()
        if not summary.frames:
            raise AudioError(
                f"{job.sound} is too short: its {summary.audio_s:.2f} s of sound give no frame"
            )
        if sink.note:
            why = sink.note.partition(";")[0].replace(str(part), str(job.target))
            raise ExportError(f"{why}; make room on the disk and run the command again")
        return summary

    def _stream(self, events: EventCounter) -> GestureStream:
        return GestureStream(
            self._bundle,
            step=self._step,
            schedule=self._schedule,
            speaker=parse_speaker(self._options.speaker, self._bundle),
            seed=self._options.seed,
            events=events,
        )


def schedule_of(options: argparse.Namespace, bundle: Bundle) -> Schedule:
    """The windows for whole files, or live hops; ConfigError for a hop of whole files."""
    schedule = schedule_by_name(options.schedule, bundle)
    if options.hop is None:
        return schedule
    if options.schedule == "offline":
        raise ConfigError("--hop belongs to --schedule live: windows for whole files have no hop")
    return schedule.with_hop(options.hop, None)


def _line(job: _Job, summary: Summary) -> str:
    return (
        f"{job.target}: {summary.frames} frames of {summary.audio_s:.1f} s, "
        f"computed in {summary.rtf:.3f} x real time"
    )


if __name__ == "__main__":
    sys.exit(main())
