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

from engine.audio.front import EntryQueue, build_front
from engine.audio.gate import VoiceGate
from engine.bundle import Bundle
from engine.decoder import PoseDecoder
from engine.errors import ConfigError
from engine.events import EventCounter
from engine.kernels.base import Kernel
from engine.kernels.eager import EagerKernel
from engine.layout import LOCAL_MOTION
from engine.pose import FrameFlag, PoseChunk
from engine.runner import Runner
from engine.schedule import FileRules, Schedule, Tail
from engine.state import StreamState
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


def pose_decoder(bundle: Bundle) -> PoseDecoder:
    """The decoder of a bundle's codes."""
    config = bundle.config
    return PoseDecoder(
        bundle.parts,
        bundle.global_motion,
        face_width=config.pose_format.face.width,
        global_zeroed=config.global_zeroed,
        global_orthonormal=config.global_orthonormal,
        whole_body=config.global_motion.channels == LOCAL_MOTION.width,
    )


class GestureStream:
    """A live or offline stream of one speaker.

    bundle: the model. schedule: the bundle's own unless given. kernel: eager unless given.
    speaker: name or index of one of the bundle's speakers. seed: of the sampling.
    start `[n, 337]`: motion in the layout MOTION that the first window is shown as its seed in the
    place of the rest pose: the frames before frame 0, or for whole files frames 0 to n - 1.
    Raises ConfigError for an unknown speaker.
    """

    _queue: EntryQueue
    _state: StreamState

    def __init__(
        self,
        bundle: Bundle,
        *,
        schedule: Schedule | None = None,
        kernel: Kernel | None = None,
        speaker: int | str = 0,
        seed: int = 0,
        start: NDArray[np.float32] | None = None,
        events: EventCounter | None = None,
    ) -> None:
        config = bundle.config
        self._start = None if start is None else torch.from_numpy(start)
        self.format = config.pose_format
        self.clock = config.clock
        self.schedule = schedule or config.schedule
        files = self.schedule.files
        self._front = build_front(
            config.front_end,
            config.features,
            config.clock,
            truncated=files is not None and files.truncated,
            events=events,
        )
        self._gated = config.gated
        self._gate = VoiceGate(config.clock)
        self._vocabulary = Vocabulary(config.vocabulary)
        self._speaker = torch.tensor([_speaker_index(config.speakers, speaker)])
        self._seed = seed
        self._runner = Runner(
            kernel or EagerKernel(bundle.gesture),
            pose_decoder(bundle),
            bundle.parts,
            schedule=self.schedule,
            clock=config.clock,
            rest_codes=bundle.rest_codes,
            silence=self._front.silence,
            face_width=self.format.face.width,
            choices=config.choices,
            sampling=config.sampling,
            homing_s=config.homing_s,
            span=self._front.span,
            still_seeds=config.still_seeds,
            seed_motion=config.seed_motion,
        )
        self._begin()

    @property
    def latency(self) -> Latency:
        """What the schedule costs, before any computing."""
        frame_ms = 1000 / self.clock.frame_rate
        hop = self.schedule.hop
        front_ms = self._front.delay / self.clock.sample_rate * 1000
        ahead_ms = self.schedule.lookahead * frame_ms + front_ms
        return Latency(hop, ahead_ms, (hop - 1) * frame_ms)

    @property
    def first_hop_samples(self) -> int:
        """Samples after which the first hop can be computed."""
        return self.clock.first_sample(self.schedule.algorithmic_frames) + self._front.delay

    @property
    def next_frame(self) -> int:
        """Index of the next frame to come out."""
        return int(self._state.frame[0])

    @property
    def ready(self) -> bool:
        """Whether the audio of a whole hop waits to be computed."""
        end = self._next_end()
        files = self.schedule.files
        if files is not None and end > self._frames_heard() // files.multiple * files.multiple:
            return False
        return self._front.end(end) <= self._taken + len(self._queue)

    def feed_audio(self, samples: ArrayLike) -> None:
        """Take mono samples `[S]` at the bundle's rate: float -1..1 or int16. Computes no pose."""
        block = np.asarray(samples)
        self._samples += block.size
        # Both take the block before either result is looked at, so neither can fall behind.
        entries, voiced = self._front.feed(block), self._gate.feed(block)
        if self._gated:
            entries = np.where(np.asarray(voiced, bool)[:, None], entries, self._front.silence)
        self._queue.push(entries)
        self._voiced.extend(bool(open_) for open_ in voiced)

    def feed_words(self, words: Sequence[TimedWord]) -> None:
        """Take words, late or early; what overlaps earlier ones replaces them."""
        self._transcript.add(words)
        begin_s = self.clock.time_s(self.next_frame - self.schedule.window)
        self._transcript.forget(begin_s, _MOST_WORDS)

    def next_chunk(self) -> PoseChunk | None:
        """Compute one hop if its audio is there.

        With a schedule of whole files: the windows whose audio is there; poses come with `flush`.
        """
        while self.ready:
            entries, words = self._take(self._next_end(), self.schedule.window)
            for chunk in self._runner.step(self._state, entries, words, self._speaker):
                return self._flagged(chunk)
        return None

    def skip_chunk(self) -> PoseChunk | None:
        """Pass over one hop, holding the last pose: for a host that cannot keep up."""
        if not self.ready:
            return None
        entries, _ = self._take(self._next_end(), self.schedule.window)
        return self._flagged(self._runner.hold(self._state, entries)[0])

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
        self._queue.push(self._front.finish())
        chunks = self.drain()
        if self.schedule.files is not None:
            return self._finish_file(self.schedule.files)
        total = self._frames_heard()
        while self.next_frame < total:
            missing = self._front.end(self._next_end()) - self._taken - len(self._queue)
            self._queue.push(np.tile(self._front.silence, (missing, 1)))
            chunks += self.drain()
        return [cut for chunk in chunks if (cut := _until(chunk, total)) is not None]

    def _finish_file(self, rules: FileRules) -> list[PoseChunk]:
        """The last, shorter window where the rules want one, and all poses."""
        total = self._frames_heard() // rules.multiple * rules.multiple
        frames = total - self.next_frame
        if rules.tail is Tail.PARTIAL and frames > 2 * self.schedule.seed:
            entries, words = self._take(total, frames)
            self._runner.step(self._state, entries, words, self._speaker)
        return [self._flagged(chunk) for chunk in self._runner.finish(self._state)]

    def cancel(self) -> None:
        """Stop speaking at once: waiting audio turns to silence, the motion settles in 300 ms."""
        self._queue.silence(self._front.silence)
        waiting = len(self._voiced)
        self._voiced.clear()
        self._voiced.extend([False] * waiting)
        self._transcript = Transcript()
        self._runner.settle(self._state)

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self._front.reset()
        self._gate.reset()
        self._begin()

    def _begin(self) -> None:
        self._transcript = Transcript()
        self._queue = EntryQueue(self._front.width)
        self._voiced: deque[bool] = deque()
        self._samples = 0
        self._taken = 0
        self._state = self._runner.fresh([self._seed], self._start)

    def snapshot(self) -> dict[str, Any]:
        """Everything remembered, independent of what comes later."""
        return {
            "front": self._front.snapshot(),
            "gate": self._gate.snapshot(),
            "state": self._state.copy(),
            "rest": deepcopy(
                (self._transcript, self._queue, self._voiced, self._samples, self._taken)
            ),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a stream made the same way."""
        self._front.restore(snapshot["front"])
        self._gate.restore(snapshot["gate"])
        self._state = snapshot["state"].copy()
        rest = deepcopy(snapshot["rest"])
        self._transcript, self._queue, self._voiced, self._samples, self._taken = rest

    def _frames_heard(self) -> int:
        return self.clock.frames_complete(self._samples)

    def _next_end(self) -> int:
        """The frame after the next window's last one."""
        if self.schedule.files is not None:
            return self.next_frame + self.schedule.window
        return self.next_frame + self.schedule.algorithmic_frames

    def _take(self, end: int, frames: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """New entries `[1, n, F]` and the words `[1, frames]` of a window that ends at `end`."""
        entries = self._queue.take(self._front.end(end) - self._taken)
        self._taken += len(entries)
        words = self._transcript.ids(self._vocabulary, self.clock, end - frames, frames)
        return entries[None], words[None]

    def _flagged(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk with IDLE where the gate was closed, or the sound over."""
        voiced = [bool(self._voiced) and self._voiced.popleft() for _ in chunk.flags]
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
