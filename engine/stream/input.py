"""Listener: the ears of one speaker. Sound and words in, what a window is shown of them out.

Front end, voice gate, transcript, and what waits of them for the next hop. Knows when a hop's sound
is complete and where a sound that ended ends; knows no network, no poses' making and no clock.
"""

import math
from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.audio.front_end import FeatureQueue, build_front
from engine.audio.voice_gate import VoiceGate
from engine.bundle.config import BundleConfig
from engine.errors import AudioError, ConfigError
from engine.events import EventCounter
from engine.generate.schedule import FileRules, Schedule, Tail
from engine.motion.pose import FrameFlag, PoseChunk
from engine.text.words import TimedWord, Transcript, Vocabulary

_MOST_WORDS = 20_000  # two hours of speech known in advance


@dataclass(frozen=True)
class Latency:
    """Algorithmic latency of a schedule. hop_wait_ms: what a hop's first frame waits at most."""

    hop_frames: int
    lookahead_ms: float
    hop_wait_ms: float

    @property
    def algorithmic_ms(self) -> float:
        """Audio that must pass after a frame's own before it can be computed, at most."""
        return self.lookahead_ms + self.hop_wait_ms


class StreamInput:
    """Hears one speaker for a bundle's network, in windows of `schedule`.

    vocabulary: the bundle's, which many listeners may share. Frames are counted by whoever
    computes them: `next_frame` is the first one that is not computed yet.
    """

    _queue: FeatureQueue

    def __init__(
        self,
        config: BundleConfig,
        schedule: Schedule,
        vocabulary: Vocabulary,
        events: EventCounter | None = None,
    ) -> None:
        files = schedule.files
        self.clock = config.clock
        self.front = build_front(
            config.front_end,
            config.features,
            config.clock,
            truncated=files is not None and files.truncated,
            events=events,
        )
        self._schedule = schedule
        self._vocabulary = vocabulary
        self._gated = config.mute_unvoiced
        self._instants = config.instant_words
        self._gate = VoiceGate(config.clock)
        if events is not None and self._gate.note:
            events.note(self._gate.note)
        self._begin()

    @property
    def latency(self) -> Latency:
        """What the schedule costs, before any computing."""
        frame_ms = 1000 / self.clock.frame_rate
        hop = self._schedule.hop
        front_ms = self.front.delay / self.clock.sample_rate * 1000
        ahead_ms = self._schedule.lookahead * frame_ms + front_ms
        return Latency(hop, ahead_ms, (hop - 1) * frame_ms)

    @property
    def first_hop_samples(self) -> int:
        """Samples after which the first hop can be computed."""
        return self.clock.first_sample(self._schedule.algorithmic_frames) + self.front.delay

    # -- what is heard -------------------------------------------------------------------------

    def feed_audio(self, samples: ArrayLike) -> None:
        """Take mono samples `[S]` at the bundle's rate: float -1..1 or int16."""
        block = np.asarray(samples)
        self._samples += block.size
        # Both take the block before either result is looked at, so neither can fall behind.
        entries, voiced = self.front.feed(block), self._gate.feed(block)
        if self._gated:
            entries = np.where(np.asarray(voiced, bool)[:, None], entries, self.front.silence)
        self._queue.push(entries)
        self._voiced.extend(bool(open_) for open_ in voiced)

    def feed_words(self, words: Sequence[TimedWord], next_frame: int) -> None:
        """Take words, late or early; what overlaps earlier ones replaces them."""
        self._transcript.add(words)
        begin_s = self.clock.time_s(next_frame - self._schedule.window)
        self._transcript.forget(begin_s, _MOST_WORDS)

    def finish(self) -> None:
        """The sound is over: what the front end still held waits too."""
        self._queue.push(self.front.finish())

    def pad(self, next_frame: int) -> bool:
        """After `finish`: let silence follow until one more hop can be computed.

        False, with nothing done, when no frame of the sound is left.
        """
        if next_frame >= self.frames_heard:
            return False
        missing = self.front.end(self._next_end(next_frame)) - self._taken - len(self._queue)
        self._queue.push(np.tile(self.front.silence, (missing, 1)))
        return True

    def cancel(self) -> None:
        """What waits turns to silence, and the words are forgotten."""
        self._queue.silence(self.front.silence)
        waiting = len(self._voiced)
        self._voiced.clear()
        self._voiced.extend([False] * waiting)
        self._transcript = Transcript()

    # -- what a window is shown ----------------------------------------------------------------

    @property
    def frames_heard(self) -> int:
        """Frames whose own sound is complete."""
        return self.clock.frames_complete(self._samples)

    def require_sound(self) -> None:
        """Raise AudioError where there was sound that is too short for any pose."""
        files, fewest = self._schedule.files, self._schedule.fewest
        count = self.frames_heard if files is None else files.frames(self._samples, self.clock)
        if self._samples and count < fewest:
            needed = math.ceil(fewest * self.clock.sample_rate / self.clock.frame_rate)
            raise AudioError(
                f"the sound is too short: {self._samples} samples at {self.clock.sample_rate} Hz "
                f"({self._samples / self.clock.sample_rate:.2f} s) give no poses; this model and "
                f"schedule need at least {needed} samples ({fewest} frames, "
                f"{fewest / self.clock.frame_rate:.2f} s)"
            )

    def ready(self, next_frame: int) -> bool:
        """Whether the sound of a whole hop waits to be computed."""
        end = self._next_end(next_frame)
        files = self._schedule.files
        if files is not None and end > files.frames(self._samples, self.clock):
            return False
        return self.front.end(end) <= self._taken + len(self._queue)

    def take(self, next_frame: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What the next hop is shown: new entries `[n, F]`, words `[W]` of its window."""
        return self._take(self._next_end(next_frame), self._schedule.window)

    def take_last(
        self, next_frame: int, rules: FileRules
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """The same for the last, shorter window of a file, where the rules want one."""
        total = rules.frames(self._samples, self.clock)
        frames = total - next_frame
        if rules.tail is not Tail.PARTIAL or frames <= 2 * self._schedule.seed:
            return None
        return self._take(total, frames)

    def flagged(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk with IDLE where the gate was closed, or the sound over."""
        voiced = [bool(self._voiced) and self._voiced.popleft() for _ in chunk.flags]
        flags = tuple(
            flag if voice else flag | FrameFlag.IDLE
            for flag, voice in zip(chunk.flags, voiced, strict=True)
        )
        return replace(chunk, flags=flags)

    def _next_end(self, next_frame: int) -> int:
        """The frame after the next window's last one."""
        if self._schedule.files is not None:
            return next_frame + self._schedule.window
        return next_frame + self._schedule.algorithmic_frames

    def _take(self, end: int, frames: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        entries = self._queue.take(self.front.cut(end) - self._taken)
        self._taken += len(entries)
        spoken = self._transcript.at_instants if self._instants else self._transcript.ids
        return entries, spoken(self._vocabulary, self.clock, end - frames, frames)

    # -- what is remembered --------------------------------------------------------------------

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self.front.reset()
        self._gate.reset()
        self._begin()

    def _begin(self) -> None:
        self._transcript = Transcript()
        self._queue = FeatureQueue(self.front.width)
        self._voiced: deque[bool] = deque()
        self._samples = 0
        self._taken = 0

    def snapshot(self) -> dict[str, Any]:
        """Everything remembered, independent of what comes later."""
        return {
            "front": self.front.snapshot(),
            "gate": self._gate.snapshot(),
            "rest": deepcopy(
                (self._transcript, self._queue, self._voiced, self._samples, self._taken)
            ),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a listener made the same way."""
        self.front.restore(snapshot["front"])
        self._gate.restore(snapshot["gate"])
        rest = deepcopy(snapshot["rest"])
        self._transcript, self._queue, self._voiced, self._samples, self._taken = rest


def until(chunk: PoseChunk, end: int) -> PoseChunk | None:
    """The part of `chunk` before frame `end`, None if there is none."""
    keep = min(len(chunk), end - chunk.first)
    if keep <= 0:
        return None
    return PoseChunk(
        chunk.first,
        chunk.rotations[:keep],
        chunk.translation[:keep],
        chunk.contacts[:keep],
        chunk.face[:keep],
        chunk.flags[:keep],
    )


def speaker_index(speakers: Sequence[str], speaker: int | str) -> int:
    """A speaker's number, by name or number; ConfigError for an unknown one."""
    if isinstance(speaker, str) and speaker in speakers:
        return list(speakers).index(speaker)
    if isinstance(speaker, int) and 0 <= speaker < len(speakers):
        return speaker
    names = ", ".join(f"{i} ({name})" for i, name in enumerate(speakers))
    raise ConfigError(f"unknown speaker {speaker!r}; this bundle has {names}")
