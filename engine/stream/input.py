"""Input side of one stream: audio front end, voice gate, transcript, and features for the next hop.

No inference, no clock.
"""

import math
from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from engine.audio.front_end import FeatureQueue, build_front_end
from engine.audio.voice_gate import VoiceGate
from engine.bundle.config import BundleConfig
from engine.errors import AudioError, ConfigError
from engine.events import EventCounter
from engine.generate.schedule import Schedule, Tail
from engine.generate.window import WindowSlice
from engine.text.words import TimedWord, Transcript, Vocabulary

_MAX_WORDS: Final = 20_000  # two hours of speech known in advance


@dataclass(frozen=True)
class Latency:
    """Algorithmic latency of a schedule.

    Attributes:
        hop_frames: frames per hop.
        lookahead_ms: audio after a frame's own that its window needs.
        hop_wait_ms: longest wait of a hop's first frame for the others.

    """

    hop_frames: int
    lookahead_ms: float
    hop_wait_ms: float

    @property
    def algorithmic_ms(self) -> float:
        """Audio that must pass after a frame's own before it can be computed, at most."""
        return self.lookahead_ms + self.hop_wait_ms


class StreamInput:
    """Prepares the windows of one speaker for the model of a bundle.

    vocabulary: of the bundle; streams may share it. Counts the frames of the windows that were
    taken: `next_frame` is the first one of the next window.
    """

    _queue: FeatureQueue
    _voiced: deque[bool]

    def __init__(
        self,
        config: BundleConfig,
        schedule: Schedule,
        vocabulary: Vocabulary,
        events: EventCounter | None = None,
    ) -> None:
        files = schedule.files
        self.clock = config.clock
        self.front_end = build_front_end(
            config.front_end,
            config.features,
            config.clock,
            truncated=files is not None and files.truncated,
            events=events,
        )
        self._schedule = schedule
        self._vocabulary = vocabulary
        self._mute_unvoiced = config.mute_unvoiced
        self._instant_words = config.instant_words
        self._gate = VoiceGate(config.clock)
        if events is not None and self._gate.note:
            events.note(self._gate.note)
        self._begin()

    @property
    def latency(self) -> Latency:
        """Latency of the schedule, before any computing."""
        frame_ms = 1000 / self.clock.frame_rate
        hop = self._schedule.hop
        front_ms = self.front_end.delay / self.clock.sample_rate * 1000
        ahead_ms = self._schedule.lookahead * frame_ms + front_ms
        return Latency(hop, ahead_ms, (hop - 1) * frame_ms)

    @property
    def first_hop_samples(self) -> int:
        """Samples after which the first hop can be computed."""
        return self.clock.first_sample(self._schedule.algorithmic_frames) + self.front_end.delay

    # -- audio and words in --------------------------------------------------------------------

    def feed_audio(self, samples: ArrayLike) -> None:
        """Take mono samples `[S]` at the bundle's rate: float -1..1 or int16."""
        block = np.asarray(samples)
        self._samples += block.size
        # Both take the block before either result is used, so neither can fall behind.
        steps, voiced = self.front_end.feed(block), self._gate.feed(block)
        if self._mute_unvoiced:
            steps = np.where(np.asarray(voiced, bool)[:, None], steps, self.front_end.silence)
        self._queue.push(steps)
        self._voiced.extend(bool(open_) for open_ in voiced)

    def feed_words(self, words: Sequence[TimedWord]) -> None:
        """Take words, late or early; new words replace earlier ones that they overlap."""
        self._transcript.add(words)
        begin_s = self.clock.time_s(self.next_frame - self._schedule.window)
        self._transcript.forget(begin_s, _MAX_WORDS)

    def finish(self) -> None:
        """End the audio: the front end's remaining steps join the queue."""
        self._queue.push(self.front_end.finish())

    def pad_with_silence(self) -> bool:
        """After `finish`: append silence until one more hop can be computed.

        False, with nothing done, when no frame of the audio is left.
        """
        if self.next_frame >= self.frames_received:
            return False
        needed = self.front_end.frame_start(self._window_end)
        missing = needed - self._taken - len(self._queue)
        self._queue.push(np.tile(self.front_end.silence, (missing, 1)))
        return True

    def cancel(self) -> None:
        """Turn waiting audio to silence and forget the words."""
        self._queue.silence(self.front_end.silence)
        self._voiced = deque([False] * len(self._voiced))
        self._transcript = Transcript()

    # -- windows out ---------------------------------------------------------------------------

    @property
    def frames_received(self) -> int:
        """Frames whose own audio is complete."""
        return self.clock.frames_complete(self._samples)

    def require_sound(self) -> None:
        """Raise AudioError where there was sound that is too short for any pose."""
        files, fewest = self._schedule.files, self._schedule.fewest
        count = self.frames_received if files is None else files.frames(self._samples, self.clock)
        if self._samples and count < fewest:
            needed = math.ceil(fewest * self.clock.sample_rate / self.clock.frame_rate)
            raise AudioError(
                f"the sound is too short: {self._samples} samples at {self.clock.sample_rate} Hz "
                f"({self._samples / self.clock.sample_rate:.2f} s) give no poses; this model and "
                f"schedule need at least {needed} samples ({fewest} frames, "
                f"{fewest / self.clock.frame_rate:.2f} s)"
            )

    @property
    def ready(self) -> bool:
        """Whether the audio of a whole hop waits to be computed."""
        end, files = self._window_end, self._schedule.files
        if files is not None and end > files.frames(self._samples, self.clock):
            return False
        return self.front_end.frame_start(end) <= self._taken + len(self._queue)

    def next_window(self) -> WindowSlice:
        """The input of the next hop, which must be `ready`."""
        hop, live = self._schedule.hop, self._schedule.files is None
        window = self._window(self._window_end, self._schedule.window, hop if live else 0)
        self.next_frame += hop
        return window

    def last_window(self) -> WindowSlice | None:
        """The last, shorter window of a file; None where the schedule has none."""
        rules = self._schedule.files
        if rules is None or rules.tail is not Tail.PARTIAL:
            return None
        total = rules.frames(self._samples, self.clock)
        frames = total - self.next_frame
        return None if frames <= 2 * self._schedule.seed else self._window(total, frames, 0)

    def take_voiced(self, count: int | None = None) -> tuple[bool, ...]:
        """Whether the voice gate was open, of the next `count` frames; all unless given.

        Frames beyond the audio count as closed.
        """
        frames = len(self._voiced) if count is None else count
        return tuple(bool(self._voiced) and self._voiced.popleft() for _ in range(frames))

    @property
    def _window_end(self) -> int:
        """The frame after the next window's last one."""
        schedule = self._schedule
        length = schedule.algorithmic_frames if schedule.files is None else schedule.window
        return self.next_frame + length

    def _window(self, end: int, frames: int, new: int) -> WindowSlice:
        steps = self._queue.take(self.front_end.window_end(end) - self._taken)
        self._taken += len(steps)
        words = self._transcript.at_instants if self._instant_words else self._transcript.ids
        shown = words(self._vocabulary, self.clock, end - frames, frames)
        return WindowSlice(steps, shown, self.take_voiced(new))

    # -- state ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self.front_end.reset()
        self._gate.reset()
        self._begin()

    def _begin(self) -> None:
        self.next_frame = 0
        self._transcript = Transcript()
        self._queue = FeatureQueue(self.front_end.width)
        self._voiced = deque()
        self._samples = 0
        self._taken = 0

    def snapshot(self) -> dict[str, Any]:
        """The whole state, independent of later changes."""
        names = ("next_frame", "_transcript", "_queue", "_voiced", "_samples", "_taken")
        return {
            "front_end": self.front_end.snapshot(),
            "gate": self._gate.snapshot(),
            "fields": deepcopy({name: getattr(self, name) for name in names}),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of an input made the same way."""
        self.front_end.restore(snapshot["front_end"])
        self._gate.restore(snapshot["gate"])
        for name, value in deepcopy(snapshot["fields"]).items():
            setattr(self, name, value)


def speaker_index(speakers: Sequence[str], speaker: int | str) -> int:
    """A speaker's number, by name or number; ConfigError for an unknown one."""
    if isinstance(speaker, str) and speaker in speakers:
        return list(speakers).index(speaker)
    if isinstance(speaker, int) and 0 <= speaker < len(speakers):
        return speaker
    names = ", ".join(f"{i} ({name})" for i, name in enumerate(speakers))
    raise ConfigError(f"unknown speaker {speaker!r}; this bundle has {names}")
