"""Our engine against both published programs on files of random lengths: how far they are apart.

Every checkpoint is random and of other sizes. Sound, words and speaker are the same for both, and
so are the codes that come out: a code that differs is a fault, no matter how near the poses are.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from bench.export.random_checkpoints import (
    Sizes,
    write_random_audio_layout,
    write_random_text_layout,
)
from bench.perf.reference import Published
from bench.quality.published_text import PublishedText, text_program
from engine.audio import SAMPLE_RATE
from engine.audio.front_end import build_front_end, sliding_maximum
from engine.audio.onsets import HOP, OnsetPicker
from engine.bundle.checkpoints.load import load_model
from engine.bundle.io import Bundle
from engine.generate.decoder import Decoded, Decoder
from engine.generate.window import window_slices
from engine.kernels.from_bundle import pose_decoder, staged_step
from engine.model.types import Kernel
from engine.motion.pose import PoseChunk, concatenate
from engine.motion.rotation import exp, from_sixd, inverse, log, multiply
from engine.stream.stream import GestureStream, build_runner
from exporters.commands.common import say

ALLOWED: Final = 1e-3
"""Radians, metres and coefficients."""
_MOST_S: Final = 12.0
_AUDIO: Final = (
    Sizes(hidden=32, audio_f=16, motion_f=16, codebook=24, speakers=3),
    Sizes(hidden=48, audio_f=32, motion_f=16, codebook=32, window=20),
    Sizes(hidden=64, audio_f=32, motion_f=32, codebook=48, speakers=2, window=32),
    Sizes(hidden=16, audio_f=8, motion_f=24, codebook=16, window=64),
)
# Its face is fused with a hint of the same width as the sound.
_TEXT: Final = (
    Sizes(hidden=32, audio_f=16, motion_f=16, codebook=24, speakers=25),
    Sizes(hidden=48, audio_f=32, motion_f=32, codebook=32, speakers=25),
    Sizes(hidden=64, audio_f=32, motion_f=32, codebook=48, speakers=25),
    Sizes(hidden=16, audio_f=8, motion_f=8, codebook=16, speakers=25),
)
_WORDS: Final = tuple(f"word{number}" for number in range(30))


@dataclass(frozen=True)
class Rendered:
    """One file: poses and codes `[4, T]`."""

    rotations: np.ndarray
    places: np.ndarray
    face: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class Difference:
    """The largest differences over some files: radians, metres, coefficients, codes that differ.

    lengths: files whose number of frames differs, which then count for nothing else.
    """

    rotation: float = 0.0
    place: float = 0.0
    face: float = 0.0
    codes: int = 0
    lengths: int = 0

    @property
    def none(self) -> bool:
        """Whether all is the same, to rounding."""
        near = max(self.rotation, self.place, self.face) < ALLOWED
        return near and not self.codes and not self.lengths


@dataclass(frozen=True)
class Row:
    """One checkpoint."""

    release: str
    checkpoint: str
    files: int
    frames: int
    difference: Difference


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "parity", help="our files and those of both published programs: are they the same?"
    )
    parser.add_argument("checkout", type=Path, metavar="DIR", help="the published repository")
    parser.add_argument("--lengths", type=int, default=20, metavar="N", help="files a checkpoint")
    parser.add_argument("--checkpoints", type=int, default=3, metavar="N", help="of each release")
    parser.add_argument("--seed", type=int, default=0, metavar="N")


def parity_command(options: argparse.Namespace) -> int:
    """Print a table and one line of JSON; status 1 where anything differs."""
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        program = text_program(options.checkout, Path(scratch) / "program")
        for number in range(options.checkpoints):
            folder = Path(scratch) / str(number)
            random = np.random.default_rng((options.seed, number))
            rows.append(_audio_row(options.checkout, folder, number, options.lengths, random))
            say(line(rows[-1]))
            rows.append(_text_row(program, folder, number, options.lengths, random))
            say(line(rows[-1]))
    print(table(rows))
    print(json.dumps({"rows": [asdict(row) for row in rows]}))
    return 0 if all(row.difference.none for row in rows) else 1


# -- what is compared ----------------------------------------------------------------------------


def difference(theirs: Rendered, ours: Rendered) -> Difference:
    """Of one file."""
    if len(theirs.places) != len(ours.places):
        return Difference(lengths=1)
    turned = multiply(ours.rotations.astype(np.float64), inverse(theirs.rotations))
    return Difference(
        rotation=float(np.linalg.norm(log(turned), axis=-1).max()),
        place=float(np.abs(ours.places - theirs.places).max()),
        face=float(np.abs(ours.face - theirs.face).max()),
        codes=int((ours.codes != theirs.codes).sum()),
    )


def largest(found: Iterable[Difference]) -> Difference:
    """The largest of each, and how many codes and lengths differ in all."""
    every = list(found)
    counted = {"codes": sum, "lengths": sum}
    return Difference(
        **{
            field.name: counted.get(field.name, max)(getattr(one, field.name) for one in every)
            for field in fields(Difference)
        }
    )


def lengths(random: np.random.Generator, count: int, fewest: int) -> list[int]:
    """Samples of `count` files of at least `fewest` frames.

    Every fourth ends with a frame, and every fourth just before the sample that its last frame
    shares with the next; the last is about as short as can be.
    """
    found = []
    for number in range(count):
        most = fewest + 3 if number == count - 1 else int(_MOST_S * 30)
        end = int(random.integers(fewest + 1, most)) * SAMPLE_RATE
        rest = int(random.integers(0, 533)) if number % 4 > 1 else 0
        found.append(end // 30 if number % 4 == 1 else -(-end // 30) + rest)
    return found


def sound_of(samples: int, random: np.random.Generator) -> np.ndarray:
    """Noise `[S]` whose loudness comes and goes four times a second or so."""
    turns = 4000 * np.arange(samples // 4000 + 2)
    loud = np.interp(np.arange(samples), turns, random.random(len(turns)))
    return (0.3 * loud * random.standard_normal(samples)).astype(np.float32)


# -- audio, 2025 ---------------------------------------------------------------------------------


def _audio_row(
    checkout: Path, scratch: Path, number: int, count: int, random: np.random.Generator
) -> Row:
    sizes = _AUDIO[number % len(_AUDIO)]
    weights = scratch / "audio"
    write_random_audio_layout(weights, seed=number, **_given(sizes))
    theirs, bundle = Published(checkout, weights), load_model(weights)

    def both(samples: int) -> tuple[Rendered, Rendered]:
        sound, speaker = sound_of(samples, random), int(random.integers(sizes.speakers))
        out, codes = theirs.file_with_codes(torch.from_numpy(sound)[None], speaker)
        published = Rendered(
            exp(out["motion_axis_angle"][0].reshape(-1, 55, 3).double().numpy()),
            out["trans"][0].numpy(),
            out["expression"][0].numpy(),
            codes.numpy(),
        )
        return published, render_audio(bundle, sound, speaker)

    fewest = bundle.config.file_schedule.fewest
    return _row("audio, 2025", sizes, both, lengths(random, count, fewest))


def render_audio(bundle: Bundle, sound: np.ndarray, speaker: int) -> Rendered:
    """A file by the stream that renders files."""
    decoder = Noting(pose_decoder(bundle))
    step = staged_step(bundle, bundle.config.file_schedule, decoder=decoder)
    stream = GestureStream(bundle, schedule=bundle.config.file_schedule, speaker=speaker, step=step)
    stream.feed_audio(sound)
    return _rendered(concatenate(stream.flush()), decoder)


# -- text and audio, 2024 ------------------------------------------------------------------------


def _text_row(
    program: Path, scratch: Path, number: int, count: int, random: np.random.Generator
) -> Row:
    sizes = Sizes(**{**_given(_TEXT[number % len(_TEXT)]), "words": _WORDS})
    weights = scratch / "text"
    write_random_text_layout(weights, _WORDS, seed=number, **_given(sizes))
    theirs, bundle = PublishedText(program, weights, sizes, scratch), load_model(weights)
    rules = bundle.config.file_schedule.files
    assert rules is not None

    def both(samples: int) -> tuple[Rendered, Rendered]:
        sound, speaker = sound_of(samples, random), int(random.integers(25))
        words = spoken(rules.frames(samples, bundle.config.clock), random)
        entries = published_rhythm(sound)
        out, codes = theirs.file(entries, words, speaker)
        published = Rendered(
            _quaternions(out["rec_pose"]),
            out["rec_trans"][0].numpy(),
            out["rec_exps"][0].numpy(),
            codes.numpy(),
        )
        return published, render_text(bundle, entries, words, speaker)

    fewest = bundle.config.file_schedule.fewest
    return _row("text and audio, 2024", sizes, both, lengths(random, count, fewest))


def _quaternions(sixd: Tensor) -> np.ndarray:
    found: Tensor = from_sixd(sixd[0].reshape(-1, 55, 6).double())
    return found.numpy()


def spoken(frames: int, random: np.random.Generator) -> np.ndarray:
    """A word's number for each of `frames` frames; each word lasts for eight."""
    words = random.integers(0, 4 + len(_WORDS), -(-frames // 8))
    return words.repeat(8)[:frames]


def published_rhythm(sound: np.ndarray, onsets: Sequence[int] | None = None) -> np.ndarray:
    """Entries `[S, 2]` as the program of 2024 makes them.

    It writes the frame numbers of its onsets, of 512 samples each, into an array of samples, so
    that all onsets lie at the beginning. onsets: those numbers; found by our picker unless given.
    """
    amplitude = sliding_maximum(np.abs(sound), 1024)
    entries = np.zeros((len(sound), 2), np.float32)
    entries[: len(amplitude), 0] = amplitude
    entries[len(amplitude) :, 0] = amplitude[-1]
    found = [at // HOP for at in OnsetPicker().feed(sound)] if onsets is None else onsets
    entries[list(found), 1] = 1.0
    return entries


def render_text(
    bundle: Bundle,
    entries: np.ndarray,
    words: np.ndarray,
    speaker: int,
    kernel: Kernel | None = None,
) -> Rendered:
    """A file by the windows that render files, of entries and words as they are given."""
    config, decoder = bundle.config, Noting(pose_decoder(bundle))
    front = build_front_end(config.front_end, config.features, config.clock, truncated=True)
    step = staged_step(bundle, config.file_schedule, kernel=kernel, decoder=decoder)
    runner = build_runner(bundle, config.file_schedule, front, step)
    state, window, hop = (
        runner.initial_state([0]),
        config.file_schedule.window,
        config.file_schedule.hop,
    )
    taken = 0
    for begin in range(0, len(words) - window + 1, hop):
        end = front.frame_start(begin + window)
        given = words[None, begin : begin + window]
        windows = window_slices(entries[None, taken:end], given, hop)
        runner.step(state, windows, torch.tensor([speaker]))
        taken = end
    return _rendered(concatenate(runner.finish(state, ())), decoder)


# -- rows ----------------------------------------------------------------------------------------


class Noting:
    """A decoder that keeps the codes `[4, T]` that it was given last."""

    codes: np.ndarray

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    @property
    def context(self) -> int:
        """See `Decoder`."""
        return self._decoder.context

    def decode(self, codes: Tensor, last: int) -> Decoded:
        """See `Decoder`."""
        self.codes = codes[0].numpy()
        return self._decoder.decode(codes, last)


def _rendered(poses: PoseChunk, decoder: Noting) -> Rendered:
    return Rendered(poses.rotations, poses.translation, poses.face, decoder.codes)


def _given(sizes: Sizes) -> dict[str, Any]:
    return {name: value for name, value in vars(sizes).items() if name != "words"}


def _row(
    release: str,
    sizes: Sizes,
    both: Callable[[int], tuple[Rendered, Rendered]],
    files: Sequence[int],
) -> Row:
    pairs = [both(samples) for samples in files]
    name = f"{sizes.hidden} wide, window {sizes.window}, {sizes.codebook} codes"
    frames = sum(len(theirs.places) for theirs, _ in pairs)
    return Row(release, name, len(files), frames, largest(difference(*pair) for pair in pairs))


def line(row: Row) -> str:
    """For people."""
    found = row.difference
    return (
        f"{row.release:21s} {row.checkpoint:34s} {row.files:5d} {row.frames:7d}   "
        f"{found.rotation:8.1e} {found.place:8.1e} {found.face:8.1e} {found.codes:6d} "
        f"{found.lengths:8d}   {'same' if found.none else 'DIFFERS'}"
    )


def table(rows: Sequence[Row]) -> str:
    """For people."""
    head = (
        f"{'release':21s} {'checkpoint (random)':34s} {'files':>5s} {'frames':>7s}   "
        f"{'rad':>8s} {'m':>8s} {'face':>8s} {'codes':>6s} {'lengths':>8s}"
    )
    return "\n".join([head, *(line(row) for row in rows)])
