"""Pairs of generated and true motion with their speech: input of the quality metrics.

Pairs files by name of take, brings both to the true one's frame rate and to the shorter length, and
reports files that cannot be used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.metrics.gestures import loud_frames, spoken_frames
from bench.metrics.onsets import onset_times, take_sound
from bench.quality.motion_files import motion_files, read_motion, sound_files, word_files
from engine.errors import ConfigError, GestureError
from engine.motion.pose import Motion
from engine.text.files import read_words
from training.sources.resample import resampled, shortened


@dataclass(frozen=True)
class TakePair:
    """A generated and a true motion of equal length and frame rate.

    Attributes:
        name: name of the take.
        made: generated motion.
        true: recorded motion.
        onsets: onsets of the audio without its cut ends, seconds; None without audio.
        speaking: frames with speech `[T]`; None without audio and words.

    """

    name: str
    made: Motion
    true: Motion
    onsets: NDArray[np.float64] | None
    speaking: NDArray[np.bool_] | None

    @property
    def fps(self) -> float:
        """Frames per second of both."""
        return float(self.true.format.clock.frame_rate)


@dataclass(frozen=True)
class Speech:
    """Paths of the audio and words of takes, by name."""

    sounds: Mapping[str, Path]
    words: Mapping[str, Path]


def find_speech(folders: list[Path]) -> Speech:
    """Audio and words from the first of `folders` that has them."""
    sounds: dict[str, Path] = {}
    words: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            sounds = {**sound_files(folder), **sounds}
            words = {**word_files(folder), **words}
    return Speech(sounds, words)


def load_pairs(
    made: Path, true: Path, audio: Path | None
) -> tuple[list[TakePair], list[tuple[str, str]]]:
    """All pairs of takes, and (name, problem) of unusable ones.

    Two single files are a pair whatever their names. ConfigError without any pair.
    """
    ours, theirs = motion_files(made, "res_"), motion_files(true, "gt_")
    if made.is_file() and true.is_file():
        ours = dict.fromkeys(theirs, made)
    speech = find_speech([audio] if audio is not None else [true if true.is_dir() else true.parent])
    pairs, problems = [], []
    for name in sorted({*ours, *theirs}):
        if name not in ours or name not in theirs:
            side = "--pred" if name not in ours else "--gt"
            problems.append((name, f"not in {side}; skipped"))
            continue
        try:
            pairs.append(_pair(name, ours[name], theirs[name], speech))
        except GestureError as error:
            problems.append((name, f"{error}; skipped"))
    if not pairs:
        listed = "; ".join(f"{name}: {text}" for name, text in problems[:3])
        raise ConfigError(f"no take is in both {made} and {true} ({listed})")
    return pairs, problems


def _pair(name: str, made: Path, true: Path, speech: Speech) -> TakePair:
    truth = read_motion(true)
    clock = truth.format.clock
    ours = resampled(read_motion(made), clock.frame_rate)
    count = min(len(ours), len(truth))
    if count < 4:
        raise ConfigError(f"expected at least four frames in both, got {len(ours)}, {len(truth)}")
    onsets = speaking = None
    if name in speech.sounds:
        sound = take_sound(speech.sounds[name])
        onsets = onset_times(sound, count, clock)
        speaking = loud_frames(sound, count, clock)
    if name in speech.words:
        speaking = spoken_frames(read_words(speech.words[name]), count, clock)
    return TakePair(name, shortened(ours, count), shortened(truth, count), onsets, speaking)
