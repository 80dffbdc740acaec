"""GestureStream: audio and words of one speaker in, poses out. Sans-I/O: no thread, clock, socket.

Any split of the audio into blocks gives the same frames, bit for bit. Frames come in hops as soon
as their audio (and the look-ahead) is complete.
"""

from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from engine.audio.features import FeatureExtractor
from engine.audio.gate import VoiceGate
from engine.bundle import Bundle
from engine.decoder import PoseDecoder
from engine.errors import ConfigError
from engine.events import EventCounter
from engine.kernels.base import Kernel
from engine.kernels.eager import EagerKernel
from engine.pose import FrameFlag, PoseChunk
from engine.runner import Runner
from engine.schedule import Schedule
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


class GestureStream:
    """A live or offline stream of one speaker.

    bundle: the model. schedule: the bundle's own unless given. kernel: eager unless given.
    speaker: name or index of one of the bundle's speakers. seed: of the sampling.
    Raises ConfigError for an unknown speaker.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        schedule: Schedule | None = None,
        kernel: Kernel | None = None,
        speaker: int | str = 0,
        seed: int = 0,
        events: EventCounter | None = None,
    ) -> None:
        config = bundle.config
        self.format = config.pose_format
        self.clock = config.clock
        self.schedule = schedule or config.schedule
        self._features = FeatureExtractor(config.features, config.clock, events)
        self._gate = VoiceGate(config.clock)
        self._vocabulary = Vocabulary(config.vocabulary)
        self._speaker = torch.tensor([_speaker_index(config.speakers, speaker)])
        self._seed = seed
        self._runner = Runner(
            kernel or EagerKernel(bundle.gesture),
            PoseDecoder(
                bundle.parts,
                bundle.global_motion,
                face_width=self.format.face.width,
                global_zeroed=config.global_zeroed,
            ),
            bundle.parts,
            schedule=self.schedule,
            clock=config.clock,
            rest_codes=bundle.rest_codes,
            silence=self._features.silence,
            face_width=self.format.face.width,
            choices=config.choices,
            sampling=config.sampling,
            homing_s=config.homing_s,
        )
        self._begin()

    @property
    def latency(self) -> Latency:
        """What the schedule costs, before any computing."""
        frame_ms = 1000 / self.clock.frame_rate
        hop = self.schedule.hop
        return Latency(hop, self.schedule.lookahead * frame_ms, (hop - 1) * frame_ms)

    @property
    def next_frame(self) -> int:
        """Index of the next frame to come out."""
        return int(self._state.frame[0])

    @property
    def ready(self) -> bool:
        """Whether the audio of a whole hop waits to be computed."""
        return len(self._pending) >= self._needed()

    @property
    def backlog_frames(self) -> int:
        """Frames of audio that wait to be computed."""
        return len(self._pending)

    def feed_audio(self, samples: ArrayLike) -> None:
        """Take mono samples `[S]` at the bundle's rate: float -1..1 or int16. Computes no pose."""
        block = np.asarray(samples)
        self._samples += block.size
        # Both take the block before either result is looked at, so neither can fall behind.
        features, voiced = self._features.feed(block), self._gate.feed(block)
        for vector, open_ in zip(features, voiced, strict=True):
            self._pending.append((vector if open_ else self._features.silence, bool(open_)))

    def feed_words(self, words: Sequence[TimedWord]) -> None:
        """Take words, late or early; what overlaps earlier ones replaces them."""
        self._transcript.add(words)
        begin_s = self.clock.time_s(self.next_frame - self.schedule.window)
        self._transcript.forget(begin_s, _MOST_WORDS)

    def next_chunk(self) -> PoseChunk | None:
        """Compute one hop if its audio is there."""
        if not self.ready:
            return None
        features, voiced = self._take()
        words = self._words_of_window()
        chunk = self._runner.step(self._state, features, words, self._speaker)[0]
        return self._flagged(chunk, voiced)

    def skip_chunk(self) -> PoseChunk | None:
        """Pass over one hop, holding the last pose: for a host that cannot keep up."""
        if not self.ready:
            return None
        features, voiced = self._take()
        return self._flagged(self._runner.hold(self._state, features)[0], voiced)

    def drain(self) -> list[PoseChunk]:
        """Compute everything that can be computed."""
        chunks = []
        while (chunk := self.next_chunk()) is not None:
            chunks.append(chunk)
        return chunks

    def flush(self) -> list[PoseChunk]:
        """End the audio: the frames that were still waiting, up to the last complete one.

        The stream then stands at its end; `reset` begins another.
        """
        total = self.clock.frames_complete(self._samples)
        chunks = self.drain()
        while self.next_frame < total:
            self._pending.append((self._features.silence, False))
            chunks += self.drain()
        return [cut for chunk in chunks if (cut := _until(chunk, total)) is not None]

    def cancel(self) -> None:
        """Stop speaking at once: waiting audio turns to silence, the motion settles in 300 ms."""
        for i in range(len(self._pending)):
            self._pending[i] = (self._features.silence, False)
        self._transcript = Transcript()
        self._runner.settle(self._state)

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self._features.reset()
        self._gate.reset()
        self._begin()

    def _begin(self) -> None:
        self._transcript = Transcript()
        self._pending: deque[tuple[NDArray[np.float32], bool]] = deque()
        self._voiced: deque[bool] = deque()
        self._samples = 0
        self._primed = False
        self._state = self._runner.fresh([self._seed])

    def snapshot(self) -> dict[str, Any]:
        """Everything remembered, independent of what comes later."""
        return {
            "features": self._features.snapshot(),
            "gate": self._gate.snapshot(),
            "state": self._state.copy(),
            "rest": deepcopy(
                (self._transcript, self._pending, self._voiced, self._samples, self._primed)
            ),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a stream made the same way."""
        self._features.restore(snapshot["features"])
        self._gate.restore(snapshot["gate"])
        self._state = snapshot["state"].copy()
        rest = deepcopy(snapshot["rest"])
        self._transcript, self._pending, self._voiced, self._samples, self._primed = rest

    def _needed(self) -> int:
        """Feature frames the next step takes: the first one fetches the look-ahead too."""
        ahead = 0 if self._primed else self.schedule.lookahead
        return self.schedule.hop + ahead

    def _take(self) -> tuple[NDArray[np.float32], list[bool]]:
        """The next step's features `[1, n, F]`, and the gate for the frames it emits."""
        taken = [self._pending.popleft() for _ in range(self._needed())]
        self._primed = True
        self._voiced.extend(voiced for _, voiced in taken)
        voiced = [self._voiced.popleft() for _ in range(self.schedule.hop)]
        return np.stack([vector for vector, _ in taken])[None], voiced

    def _words_of_window(self) -> NDArray[np.int64]:
        first = self.next_frame - self.schedule.first_new
        window = self.schedule.window
        return self._transcript.ids(self._vocabulary, self.clock, first, window)[None]

    def _flagged(self, chunk: PoseChunk, voiced: list[bool]) -> PoseChunk:
        flags = tuple(
            flag if voice else flag | FrameFlag.IDLE
            for flag, voice in zip(chunk.flags, voiced, strict=True)
        )
        return replace(chunk, flags=flags)


def _speaker_index(speakers: Sequence[str], speaker: int | str) -> int:
    if isinstance(speaker, str) and speaker in speakers:
        return list(speakers).index(speaker)
    if isinstance(speaker, int) and 0 <= speaker < len(speakers):
        return speaker
    names = ", ".join(f"{i} ({name})" for i, name in enumerate(speakers))
    raise ConfigError(f"unknown speaker {speaker!r}; this bundle has {names}")


def _until(chunk: PoseChunk, end: int) -> PoseChunk | None:
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
