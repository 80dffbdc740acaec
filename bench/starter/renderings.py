"""Motion to spoken parts: by a bundle live, by the composer, or recorded.

A bundle gets all parts in one stream without reset, as in a live host.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from bench.metrics.kinematics import Floats
from bench.quality.motion_files import motion_files, read_motion
from bench.quality.motion_statistics import Sample
from bench.starter.speech_set import Part, until
from engine.clock import FrameClock
from engine.motion.pose import FloatArray, Motion, PoseChunk, PoseFormat, concatenate
from engine.stream.stream import GestureStream
from engine.text.words import TimedWord
from training.composer.compose import Origin, animate, load_clips
from training.composer.library import ClipLibrary
from training.composer.style import LIVELY
from training.sources.resample import resampled, shortened

_LATE_BLOCKS = 50  # audio blocks per second with late words


@dataclass(frozen=True)
class Scene:
    """A part and motion of equal length."""

    part: Part
    motion: Motion

    @cached_property
    def sample(self) -> Sample:
        """The scene as input of `bench.quality.motion_statistics`."""
        return Sample(self.motion, self.part.words)

    @property
    def positions(self) -> Floats:
        """World positions `[T, J, 3]` in metres."""
        return self.sample.positions

    @property
    def fps(self) -> int:
        """Frames per second."""
        return self.sample.fps

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.motion) / self.fps


def with_transcript(scenes: Sequence[Scene]) -> list[Scene]:
    """Scenes with known words and phones."""
    return [scene for scene in scenes if scene.part.has_transcript]


def cut(motion: Motion, first: int, last: int) -> Motion:
    """Frames `first` to `last` - 1 of a motion, numbered from 0."""
    kept = slice(first, last)
    p = motion.poses
    tracks = (p.rotations[kept], p.translation[kept], p.contacts[kept], p.face[kept])
    return replace(motion, poses=_chunk(tracks))


def _chunk(tracks: tuple[FloatArray, FloatArray, FloatArray, FloatArray]) -> PoseChunk:
    """Poses from rotations, translation, contacts and face, from frame 0 on."""
    rotations, translation, contacts, face = (np.asarray(track, np.float32) for track in tracks)
    return PoseChunk(0, rotations, translation, contacts, face)


def live(
    stream: GestureStream,
    parts: Sequence[Part],
    *,
    with_words: bool = True,
    late_s: float | None = None,
) -> list[Scene]:
    """Render all parts one after the other in one stream.

    Words are known at the start of their part, as from a text that is read out. With late_s each is
    known so many seconds after its end, as from a speech recogniser.
    """
    rate = stream.clock.sample_rate
    block = rate if late_s is None else rate // _LATE_BLOCKS
    chunks: list[PoseChunk] = []
    waiting: deque[TimedWord] = deque()
    starts = [0, *accumulate(len(part.speech.samples) for part in parts)]
    for part, at in zip(parts, starts, strict=False):
        waiting.extend(_later(word, at / rate) for word in part.words if with_words)
        for first in range(0, len(part.speech.samples), block):
            known_s = math.inf if late_s is None else (at + first + block) / rate - late_s
            stream.feed_words(_ended(waiting, known_s))
            stream.feed_audio(part.speech.samples[first : first + block])
            chunks += stream.drain()
    chunks += stream.flush()
    return _parted(Motion(stream.format, concatenate(chunks)), parts, starts)


def _later(word: TimedWord, seconds: float) -> TimedWord:
    return TimedWord(word.text, word.start_s + seconds, word.end_s + seconds)


def _ended(waiting: deque[TimedWord], known_s: float) -> list[TimedWord]:
    """Remove the words from the front of `waiting` that ended by `known_s`."""
    ended = []
    while waiting and waiting[0].end_s <= known_s:
        ended.append(waiting.popleft())
    return ended


def _parted(motion: Motion, parts: Sequence[Part], starts: Sequence[int]) -> list[Scene]:
    frames = [motion.format.clock.frames_complete(at) for at in starts]
    pairs = zip(parts, pairwise(frames), strict=True)
    return [Scene(part, cut(motion, first, last)) for part, (first, last) in pairs]


def whole(scenes: Sequence[Scene]) -> Motion:
    """Scenes of one stream as one motion."""
    chunks: list[PoseChunk] = []
    for scene in scenes:
        first = chunks[-1].first + len(chunks[-1]) if chunks else 0
        chunks.append(replace(scene.motion.poses, first=first))
    return Motion(scenes[0].motion.format, concatenate(chunks))


def beginnings(scenes: Sequence[Scene], parts: Sequence[Part]) -> list[Scene]:
    """Beginning of each scene, with the length of the corresponding part."""
    pairs = zip(scenes, parts, strict=True)
    return [
        Scene(part, shortened(s.motion, part.frames(s.motion.format.clock))) for s, part in pairs
    ]


def composed(clips: Path, parts: Sequence[Part], seed: int = 0) -> list[Scene]:
    """The composer's motion to the parts, with the lively style and training clips.

    Parts without text are left out: the composer needs words.
    """
    library = ClipLibrary(load_clips(clips), "train")
    scenes = []
    for number, part in enumerate(part for part in parts if part.has_transcript):
        rng = np.random.default_rng([seed, number])
        take = animate(part.speech, library, LIVELY, Origin(part.name, "test"), rng)
        tracks = (take.body.rotations, take.body.translation, take.body.contacts, take.face)
        motion = Motion(PoseFormat(clock=FrameClock()), _chunk(tracks))
        scenes.append(_scene(part, motion))
    return scenes


def recorded(folder: Path, parts: Sequence[Part]) -> list[Scene]:
    """Recorded motion of the parts with a file of their name in `folder`."""
    files = motion_files(folder)
    scenes = []
    for part in parts:
        if part.name in files:
            motion = read_motion(files[part.name])
            scenes.append(_scene(part, resampled(motion, FrameClock().frame_rate)))
    return scenes


def _scene(part: Part, motion: Motion) -> Scene:
    """A scene of the shorter length: a recording may end before its audio."""
    clock = motion.format.clock
    part = until(part, clock.time_s(len(motion)))
    return Scene(part, shortened(motion, part.frames(clock)))
