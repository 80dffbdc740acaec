"""GestureStream: audio and words of one speaker in, poses out. Sans-I/O: no thread, clock, socket.

Any split of the audio into blocks gives the same frames, bit for bit. Frames come in hops as soon
as their audio (and the look-ahead) is complete. Hears by a Listener, moves by a Runner;
`engine.stream.pool.StreamPool` does the same for many speakers at once.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from engine.audio.front_end import FrontEndStream
from engine.bundle.io import Bundle
from engine.events import EventCounter
from engine.generate.runner import Runner, WindowSpec
from engine.generate.schedule import FileRules, Schedule
from engine.generate.state import StreamState
from engine.generate.step import HopStep
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.motion.pose import PoseChunk
from engine.stream.input import Latency, StreamInput, speaker_index, until
from engine.system.threads import set_threads
from engine.text.words import TimedWord, Vocabulary
from engine.timing import Stage, Watch, no_timer


def build_runner(
    bundle: Bundle, schedule: Schedule, front: FrontEndStream, step: HopStep | None = None
) -> Runner:
    """The window loop of a bundle; step: `staged_step` unless given."""
    config = bundle.config
    spec = WindowSpec(
        schedule,
        config.clock,
        front.silence,
        config.pose_format.face.width,
        front.span,
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

    bundle: the model. schedule: the bundle's own unless given. step: computes the
    networks; eager unless given, see `engine.generate.step`. speaker: name or index of one of the
    bundle's speakers. seed: of the sampling. start `[n, 337]`: motion in the
    layout MOTION that the first window is shown as its seed in the place of the rest pose: the
    frames before frame 0, or for whole files frames 0 to n - 1. events: counts faults;
    `events.notes` says what is worse than it should be (no voice detector). threads: of PyTorch,
    for the whole process; as suits model and step unless given, see `engine.system.threads`.
    Raises ConfigError for an unknown speaker and for less than one thread.
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
        self.format = config.pose_format
        self.clock = config.clock
        self.schedule = schedule or config.schedule
        self._start = None if start is None else torch.from_numpy(start)
        self._number = speaker_index(config.speakers, speaker)
        set_threads(bundle.gesture, step_name(step), threads)
        self._speaker = torch.tensor([self._number])
        self._config = config
        self._seed = seed
        self._watch: Watch = no_timer
        vocabulary = Vocabulary(config.vocabulary)
        self.events = events or EventCounter()
        self._listener = StreamInput(config, self.schedule, vocabulary, self.events)
        front = self._listener.front
        self._runner = build_runner(bundle, self.schedule, front, step)
        self._state = self._runner.fresh([seed], self._start)
        self._finish = config.new_postprocess(self._number, seed)

    @property
    def latency(self) -> Latency:
        """What the schedule costs, before any computing."""
        return self._listener.latency

    @property
    def first_hop_samples(self) -> int:
        """Samples after which the first hop can be computed."""
        return self._listener.first_hop_samples

    @property
    def next_frame(self) -> int:
        """Index of the next frame to come out."""
        return int(self._state.frame[0])

    @property
    def ready(self) -> bool:
        """Whether the audio of a whole hop waits to be computed."""
        return self._listener.ready(self.next_frame)

    def watch(self, watch: Watch) -> None:
        """Have `watch` called around each stage of the work from now on."""
        self._watch = self._runner.watch = watch

    def feed_audio(self, samples: ArrayLike) -> None:
        """Take mono samples `[S]` at the bundle's rate: float -1..1 or int16. Computes no pose."""
        with self._watch(Stage.FEATURES):
            self._listener.feed_audio(samples)

    def feed_words(self, words: Sequence[TimedWord]) -> None:
        """Take words, late or early; what overlaps earlier ones replaces them."""
        self._listener.feed_words(words, self.next_frame)

    def next_chunk(self) -> PoseChunk | None:
        """Compute one hop if its audio is there.

        With a schedule of whole files: the windows whose audio is there; poses come with `flush`.
        """
        while self.ready:
            for chunk in self._step(self._listener.take(self.next_frame)):
                return self._finished(chunk)
        return None

    def skip_chunk(self) -> PoseChunk | None:
        """Pass over one hop, holding the last pose: for a host that cannot keep up."""
        if not self.ready:
            return None
        entries, _ = self._listener.take(self.next_frame)
        return self._finished(self._runner.hold(self._state, entries[None])[0])

    def drain(self) -> list[PoseChunk]:
        """Compute everything that can be computed."""
        chunks = []
        while (chunk := self.next_chunk()) is not None:
            chunks.append(chunk)
        return chunks

    def require_sound(self) -> None:
        """Raise AudioError where there was sound and it ends before it is enough for any pose."""
        self._listener.require_sound()

    def flush(self) -> list[PoseChunk]:
        """End the audio: the frames that were still waiting, up to the last complete one.

        The stream then stands at its end; `reset` begins another.
        """
        self._listener.finish()
        chunks = self.drain()
        if self.schedule.files is not None:
            return self._finish_file(self.schedule.files)
        total = self._listener.frames_heard
        while self._listener.pad(self.next_frame):
            chunks += self.drain()
        return [cut for chunk in chunks if (cut := until(chunk, total)) is not None]

    def _finish_file(self, rules: FileRules) -> list[PoseChunk]:
        """The last, shorter window where the rules want one, and all poses."""
        last = self._listener.take_last(self.next_frame, rules)
        if last is not None:
            self._step(last)
        return [self._finished(chunk) for chunk in self._runner.finish(self._state)]

    def _step(self, heard: tuple[NDArray[np.float32], NDArray[np.int64]]) -> list[PoseChunk]:
        entries, words = heard
        return self._runner.step(self._state, entries[None], words[None], self._speaker)

    def _finished(self, chunk: PoseChunk) -> PoseChunk:
        """The chunk as it goes out: flagged, and with the bundle's finish."""
        return self._finish.apply(self._listener.flagged(chunk))

    def cancel(self) -> None:
        """Stop speaking at once: waiting audio turns to silence, the motion settles in 300 ms."""
        self._listener.cancel()
        self._runner.settle(self._state)

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self._listener.reset()
        self._state = self._runner.fresh([self._seed], self._start)
        self._finish = self._config.new_postprocess(self._number, self._seed)

    def snapshot(self) -> dict[str, Any]:
        """Everything remembered, independent of what comes later."""
        return {
            "listener": self._listener.snapshot(),
            "state": self._state.copy(),
            "finish": self._finish.copy(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a stream made the same way."""
        self._listener.restore(snapshot["listener"])
        self._state = snapshot["state"].copy()
        self._finish = snapshot["finish"].copy()
