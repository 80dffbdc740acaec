"""Parity of the engine with both reference implementations on files of random lengths.

Every checkpoint is random, with other sizes. Both get the same audio, words and speaker, and must
select the same codes: any other code is an error, however close the poses are.
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
from bench.perf.reference import Reference
from bench.quality.published_text import ReferenceText, text_program
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
"""Tolerance in radians, metres and coefficients."""
_MOST_S: Final = 12.0
_AUDIO: Final = (
    Sizes(hidden=32, audio_f=16, motion_f=16, codebook=24, speakers=3),
    Sizes(hidden=48, audio_f=32, motion_f=16, codebook=32, window=20),
    Sizes(hidden=64, audio_f=32, motion_f=32, codebook=48, speakers=2, window=32),
    Sizes(hidden=16, audio_f=8, motion_f=24, codebook=16, window=64),
)
# The face decoder requires motion features of the width of audio features.
_TEXT: Final = (
    Sizes(hidden=32, audio_f=16, motion_f=16, codebook=24, speakers=25),
    Sizes(hidden=48, audio_f=32, motion_f=32, codebook=32, speakers=25),
    Sizes(hidden=64, audio_f=32, motion_f=32, codebook=48, speakers=25),
    Sizes(hidden=16, audio_f=8, motion_f=8, codebook=16, speakers=25),
)
_WORDS: Final = tuple(f"word{number}" for number in range(30))


@dataclass(frozen=True)
class Rendered:
    """Poses and codes `[4, T]` of one file."""

    rotations: np.ndarray
    places: np.ndarray
    face: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class Difference:
    """Largest differences over some files.

    Attributes:
        rotation: angle between rotations, radians.
        place: distance along one axis of the translation, metres.
        face: face coefficients.
        codes: number of different codes.
        lengths: files with another number of frames, which are not compared otherwise.

    """

    rotation: float = 0.0
    place: float = 0.0
    face: float = 0.0
    codes: int = 0
    lengths: int = 0

    @property
    def none(self) -> bool:
        """True if all differences are within tolerance."""
        near = max(self.rotation, self.place, self.face) < ALLOWED
        return near and not self.codes and not self.lengths


@dataclass(frozen=True)
class CheckpointResult:
    """Result of one checkpoint."""

    release: str
    checkpoint: str
    files: int
    frames: int
    difference: Difference


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "parity", help="compare rendered files with those of both reference implementations"
    )
    parser.add_argument(
        "checkout", type=Path, metavar="DIR", help="checkout of the reference repository"
    )
    parser.add_argument("--lengths", type=int, default=20, metavar="N", help="files per checkpoint")
    parser.add_argument("--checkpoints", type=int, default=3, metavar="N", help="per release")
    parser.add_argument("--seed", type=int, default=0, metavar="N")


def parity_command(options: argparse.Namespace) -> int:
    """Print a table and one line of JSON; status 1 if anything differs."""
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


# -- comparison ----------------------------------------------------------------------------------


def difference(theirs: Rendered, ours: Rendered) -> Difference:
    """Differences between two renderings of one file."""
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
    """Maximum of each difference; sums of codes and lengths."""
    every = list(found)
    counted = {"codes": sum, "lengths": sum}
    return Difference(
        **{
            field.name: counted.get(field.name, max)(getattr(one, field.name) for one in every)
            for field in fields(Difference)
        }
    )


def lengths(random: np.random.Generator, count: int, fewest: int) -> list[int]:
    """Number of samples of `count` files of at least `fewest` frames.

    Every fourth ends with a frame, and every fourth just before the sample that its last frame
    shares with the next; the last file is near the minimum length.
    """
    found = []
    for number in range(count):
        most = fewest + 3 if number == count - 1 else int(_MOST_S * 30)
        end = int(random.integers(fewest + 1, most)) * SAMPLE_RATE
        rest = int(random.integers(0, 533)) if number % 4 > 1 else 0
        found.append(end // 30 if number % 4 == 1 else -(-end // 30) + rest)
    return found


def noise(samples: int, random: np.random.Generator) -> np.ndarray:
    """Noise `[S]` with a random loudness every quarter of a second."""
    turns = 4000 * np.arange(samples // 4000 + 2)
    loud = np.interp(np.arange(samples), turns, random.random(len(turns)))
    return (0.3 * loud * random.standard_normal(samples)).astype(np.float32)


# -- audio, 2025 ---------------------------------------------------------------------------------


def _audio_row(
    checkout: Path, scratch: Path, number: int, count: int, random: np.random.Generator
) -> CheckpointResult:
    sizes = _AUDIO[number % len(_AUDIO)]
    weights = scratch / "audio"
    write_random_audio_layout(weights, seed=number, **_given(sizes))
    theirs, bundle = Reference(checkout, weights), load_model(weights)

    def both(samples: int) -> tuple[Rendered, Rendered]:
        sound, speaker = noise(samples, random), int(random.integers(sizes.speakers))
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
    """File rendered by the stream with the file schedule."""
    decoder = CodeRecorder(pose_decoder(bundle))
    step = staged_step(bundle, bundle.config.file_schedule, decoder=decoder)
    stream = GestureStream(bundle, schedule=bundle.config.file_schedule, speaker=speaker, step=step)
    stream.feed_audio(sound)
    return _rendered(concatenate(stream.flush()), decoder)


# -- text and audio, 2024 ------------------------------------------------------------------------


def _text_row(
    program: Path, scratch: Path, number: int, count: int, random: np.random.Generator
) -> CheckpointResult:
    sizes = Sizes(**{**_given(_TEXT[number % len(_TEXT)]), "words": _WORDS})
    weights = scratch / "text"
    write_random_text_layout(weights, _WORDS, seed=number, **_given(sizes))
    theirs, bundle = ReferenceText(program, weights, sizes, scratch), load_model(weights)
    rules = bundle.config.file_schedule.files
    assert rules is not None

    def both(samples: int) -> tuple[Rendered, Rendered]:
        sound, speaker = noise(samples, random), int(random.integers(25))
        words = random_words(rules.frames(samples, bundle.config.clock), random)
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


def random_words(frames: int, random: np.random.Generator) -> np.ndarray:
    """Word index of each of `frames` frames; each word has eight frames."""
    words = random.integers(0, 4 + len(_WORDS), -(-frames // 8))
    return words.repeat(8)[:frames]


def published_rhythm(sound: np.ndarray, onsets: Sequence[int] | None = None) -> np.ndarray:
    """Amplitude and onsets `[S, 2]` as the program of 2024 computes them.

    It writes the frame numbers of its onsets (512 samples per frame) into an array of samples, so
    that all onsets are near the beginning. onsets: those frame numbers; detected by OnsetPicker by
    default.
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
    """File rendered in windows of the file schedule from given rhythm and word indices."""
    config, decoder = bundle.config, CodeRecorder(pose_decoder(bundle))
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


class CodeRecorder:
    """Decoder wrapper that stores the codes `[4, T]` of its last call."""

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


def _rendered(poses: PoseChunk, decoder: CodeRecorder) -> Rendered:
    return Rendered(poses.rotations, poses.translation, poses.face, decoder.codes)


def _given(sizes: Sizes) -> dict[str, Any]:
    return {name: value for name, value in vars(sizes).items() if name != "words"}


def _row(
    release: str,
    sizes: Sizes,
    both: Callable[[int], tuple[Rendered, Rendered]],
    files: Sequence[int],
) -> CheckpointResult:
    pairs = [both(samples) for samples in files]
    name = f"{sizes.hidden} wide, window {sizes.window}, {sizes.codebook} codes"
    frames = sum(len(theirs.places) for theirs, _ in pairs)
    return CheckpointResult(
        release, name, len(files), frames, largest(difference(*pair) for pair in pairs)
    )


def line(row: CheckpointResult) -> str:
    """A result as text."""
    found = row.difference
    return (
        f"{row.release:21s} {row.checkpoint:34s} {row.files:5d} {row.frames:7d}   "
        f"{found.rotation:8.1e} {found.place:8.1e} {found.face:8.1e} {found.codes:6d} "
        f"{found.lengths:8d}   {'same' if found.none else 'DIFFERS'}"
    )


def table(rows: Sequence[CheckpointResult]) -> str:
    """All results as text."""
    head = (
        f"{'release':21s} {'checkpoint (random)':34s} {'files':>5s} {'frames':>7s}   "
        f"{'rad':>8s} {'m':>8s} {'face':>8s} {'codes':>6s} {'lengths':>8s}"
    )
    return "\n".join([head, *(line(row) for row in rows)])
