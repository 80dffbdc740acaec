"""GestureStream: audio and words of one speaker in, poses out. Sans-I/O: no thread, clock, socket.

Any split of the audio into blocks gives the same frames, bit for bit. Frames come in hops as soon
as their audio (and the look-ahead) is complete. `engine.stream.pool.StreamPool` does the same for
many speakers at once.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from engine.audio.front_end import FrontEndStream
from engine.bundle.io import Bundle
from engine.events import EventCounter
from engine.generate.runner import Runner
from engine.generate.schedule import Schedule
from engine.generate.state import StreamState
from engine.generate.step import HopStep
from engine.generate.window import WindowSlice, WindowSpec
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.motion.pose import PoseChunk
from engine.stream.input import Latency, StreamInput, speaker_index
from engine.system.threads import set_threads
from engine.text.words import TimedWord, Vocabulary
from engine.timing import Stage, StageTimer, no_timer


def build_runner(
    bundle: Bundle, schedule: Schedule, front_end: FrontEndStream, step: HopStep | None = None
) -> Runner:
    """The window loop of a bundle; step: `staged_step` unless given."""
    config = bundle.config
    spec = WindowSpec(
        schedule,
        config.clock,
        front_end.silence,
        config.pose_format.face.width,
        front_end.window_length,
        recenter_time_s=config.recenter_time_s,
        seed_from_identity=config.seed_from_identity,
        seed_root=config.seed_root,
    )
    return Runner(step or staged_step(bundle, schedule), spec, bundle.rest_codes)


def step_name(step: HopStep | None) -> str:
    """The kernel name of a step, or of the default one."""
    return EagerKernel.name if step is None else step.name


class GestureStream:
    """A live or offline stream of one speaker.

    bundle: the model. schedule: the bundle's own unless given. step: computes the networks; eager
    unless given, see `engine.generate.step`. speaker: name or index of one of the bundle's
    speakers. seed: of the sampling. start `[n, 337]`: motion in the layout MOTION that the first
    window has as its seed instead of the rest pose: the frames before frame 0, or for whole files
    frames 0 to n - 1. events: counts faults; `events.notes` lists degradations (no voice detector).
    threads: of PyTorch, for the whole process; chosen by model and step unless given, see
    `engine.system.threads`. Raises ConfigError for an unknown speaker and for less than one thread.
    """

    _state: StreamState

    def __init__(
        self,
        bundle: Bundle,
        *,
        schedule: Schedule | None = None,
        step: HopStep | None = None,
        speaker: int | str = 0,
        seed: int = 0,
        start: NDArray[np.float32] | None = None,
        events: EventCounter | None = None,
        threads: int | None = None,
    ) -> None:
        config = bundle.config
        self.bundle_name = config.name
        self.format = config.pose_format
        self.clock = config.clock
        self.schedule = schedule or config.schedule
        self.events = events or EventCounter()
        self._config, self._seed = config, seed
        self._start = None if start is None else torch.from_numpy(start)
        self._speaker_index = speaker_index(config.speakers, speaker)
        self._speaker = torch.tensor([self._speaker_index])
        self._timer: StageTimer = no_timer
        set_threads(bundle.gesture, step_name(step), threads)
        vocabulary = Vocabulary(config.vocabulary)
        self._input = StreamInput(config, self.schedule, vocabulary, self.events)
        self._runner = build_runner(bundle, self.schedule, self._input.front_end, step)
        self._begin()

    def _begin(self) -> None:
        self._state = self._runner.initial_state([self._seed], self._start)
        self._postprocess = self._config.new_postprocess(self._speaker_index, self._seed)

    @property
    def latency(self) -> Latency:
        """Latency of the schedule, before any computing."""
        return self._input.latency

    @property
    def first_hop_samples(self) -> int:
        """Samples after which the first hop can be computed."""
        return self._input.first_hop_samples

    @property
    def next_frame(self) -> int:
        """Index of the next frame to come out."""
        return self._input.next_frame

    @property
    def ready(self) -> bool:
        """Whether the audio of a whole hop waits to be computed."""
        return self._input.ready

    def set_timer(self, timer: StageTimer) -> None:
        """Call `timer` around each stage of the work from now on."""
        self._timer = timer
        self._runner.set_timer(timer)

    def feed_audio(self, samples: ArrayLike) -> None:
        """Take mono samples `[S]` at the bundle's rate: float -1..1 or int16. Computes no pose."""
        with self._timer(Stage.FEATURES):
            self._input.feed_audio(samples)

    def feed_words(self, words: Sequence[TimedWord]) -> None:
        """Take words, late or early; new words replace earlier ones that they overlap."""
        self._input.feed_words(words)

    def next_chunk(self) -> PoseChunk | None:
        """Compute one hop if its audio is there.

        With a schedule of whole files: the windows whose audio is there; poses come with `flush`.
        """
        while self.ready:
            for chunk in self._step(self._input.next_window()):
                return self._postprocess.apply(chunk)
        return None

    def skip_chunk(self) -> PoseChunk | None:
        """Pass over one hop, holding the last pose: for a host that cannot keep up."""
        if not self.ready:
            return None
        (chunk,) = self._runner.hold_pose(self._state, [self._input.next_window()])
        return self._postprocess.apply(chunk)

    def drain(self) -> list[PoseChunk]:
        """Compute everything that can be computed."""
        chunks = []
        while (chunk := self.next_chunk()) is not None:
            chunks.append(chunk)
        return chunks

    def require_sound(self) -> None:
        """Raise AudioError where there was sound and it ends before it is enough for any pose."""
        self._input.require_sound()

    def flush(self) -> list[PoseChunk]:
        """End the audio: the frames that were still waiting, up to the last complete one.

        The stream then stands at its end; `reset` begins another.
        """
        self._input.finish()
        chunks = self.drain()
        if self.schedule.files is not None:
            return self._finish_file()
        total = self._input.frames_received
        while self._input.pad_with_silence():
            chunks += self.drain()
        return [cut for chunk in chunks if (cut := chunk.before(total)) is not None]

    def _finish_file(self) -> list[PoseChunk]:
        """The last, shorter window where the rules want one, and all poses."""
        last = self._input.last_window()
        if last is not None:
            self._step(last)
        chunks = self._runner.finish(self._state, self._input.take_voiced())
        return [self._postprocess.apply(chunk) for chunk in chunks]

    def _step(self, window: WindowSlice) -> list[PoseChunk]:
        return self._runner.step(self._state, [window], self._speaker)

    def cancel(self) -> None:
        """Stop speaking at once: waiting audio turns to silence, the motion settles in 300 ms."""
        self._input.cancel()
        self._runner.return_to_rest(self._state)

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self._input.reset()
        self._begin()

    def snapshot(self) -> dict[str, Any]:
        """The whole state, independent of later changes."""
        return {
            "input": self._input.snapshot(),
            "state": self._state.copy(),
            "postprocess": self._postprocess.copy(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a stream made the same way."""
        self._input.restore(snapshot["input"])
        self._state = snapshot["state"].copy()
        self._postprocess = snapshot["postprocess"].copy()
