"""StreamPool: many speakers in one batch; streams start, stall and stop apart. Sans-I/O.

Each slot gives the frames of a GestureStream (to rounding: a batch multiplies in another order)
whatever the other slots do; one forward pass computes a hop of any set of slots. The host chooses
the slots of a pass, see `engine.stream.scheduler`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import ArrayLike

from engine.bundle.io import Bundle
from engine.errors import ConfigError
from engine.events import EventCounter
from engine.generate.schedule import Schedule
from engine.generate.state import StreamState
from engine.generate.step import HopStep
from engine.motion.pose import PoseChunk
from engine.postprocess.chain import PostProcess
from engine.stream.input import Latency, StreamInput, speaker_index
from engine.stream.stream import build_runner, step_name
from engine.system.threads import set_threads
from engine.text.words import TimedWord, Vocabulary


@dataclass
class _Slot:
    """A slot in use. total: frames of the whole stream once its audio has ended."""

    input: StreamInput
    speaker: int
    postprocess: PostProcess
    total: int | None = None


class StreamPool:
    """Up to `capacity` streams of one bundle; a slot is a number from 0 to capacity - 1.

    schedule: the bundle's own unless given, live. step: computes the networks, for batches of 1 to
    `capacity` rows; eager unless given, see `engine.kernels.fused_step`. threads: of PyTorch, for
    the whole process; as suits model and step unless given, see `engine.system.threads`. A pool of
    many rows on idle cores may gain from more. Raises ConfigError for a schedule of whole files, a
    full pool, a slot that is not open, an unknown speaker and less than one thread.
    """

    def __init__(
        self,
        bundle: Bundle,
        capacity: int,
        *,
        schedule: Schedule | None = None,
        step: HopStep | None = None,
        events: EventCounter | None = None,
        threads: int | None = None,
    ) -> None:
        self.schedule = schedule or bundle.config.schedule
        if self.schedule.files is not None:
            raise ConfigError("a pool streams: whole files are rendered by emage-render")
        if capacity < 1:
            raise ConfigError(f"a pool needs a capacity of at least 1, got {capacity}")
        set_threads(bundle.gesture, step_name(step), threads)
        self.capacity = capacity
        self.format = bundle.config.pose_format
        self.clock = bundle.config.clock
        self._config = bundle.config
        self.events = events or EventCounter()
        self._vocabulary = Vocabulary(bundle.config.vocabulary)
        first = self._new_input()
        self.latency: Latency = first.latency
        self.first_hop_samples = first.first_hop_samples
        self._runner = build_runner(bundle, self.schedule, first.front_end, step)
        self._rest = self._runner.initial_state([0])
        self._state = self._runner.initial_state([0] * capacity)
        self._slots: list[_Slot | None] = [None] * capacity

    # -- coming and going ----------------------------------------------------------------------

    @property
    def slots(self) -> list[int]:
        """The slots in use."""
        return [slot for slot, own in enumerate(self._slots) if own is not None]

    def open(self, speaker: int | str = 0, seed: int = 0) -> int:
        """Begin a stream at sample 0 and frame 0; its slot."""
        number = speaker_index(self._config.speakers, speaker)
        if None not in self._slots:
            raise ConfigError(
                f"all {self.capacity} streams of the pool are in use; close one, or make a larger "
                "pool"
            )
        slot = self._slots.index(None)
        self._slots[slot] = _Slot(
            self._new_input(),
            number,
            self._config.new_postprocess(number, seed),
        )
        self._rest.noise[0] = self._runner.noise(seed)
        self._state.put([slot], self._rest)
        return slot

    def close(self, slot: int) -> None:
        """Forget a stream; its slot is free."""
        self._slot(slot)
        self._slots[slot] = None

    # -- one stream ----------------------------------------------------------------------------

    def feed_audio(self, slot: int, samples: ArrayLike) -> None:
        """Take mono samples `[S]` at the bundle's rate: float -1..1 or int16. Computes no pose."""
        self._slot(slot).input.feed_audio(samples)

    def feed_words(self, slot: int, words: Sequence[TimedWord]) -> None:
        """Take words, late or early; new words replace earlier ones that they overlap."""
        self._slot(slot).input.feed_words(words)

    def finish(self, slot: int) -> None:
        """The sound is over: the remaining frames come with the next steps, then `is_over`."""
        own = self._slot(slot)
        own.input.finish()
        own.total = own.input.frames_received

    def is_over(self, slot: int) -> bool:
        """Whether the sound has ended and all its frames have come."""
        total = self._slot(slot).total
        return total is not None and self.next_frame(slot) >= total

    def cancel(self, slot: int) -> None:
        """Stop speaking at once: waiting audio turns to silence, the motion settles in 300 ms."""
        self._slot(slot).input.cancel()
        with self._rows([slot]) as state:
            self._runner.return_to_rest(state)

    def next_frame(self, slot: int) -> int:
        """Index of the next frame to come out."""
        return self._slot(slot).input.next_frame

    def snapshot(self, slot: int) -> dict[str, Any]:
        """The whole state of a stream, in the form of `GestureStream.snapshot`."""
        own, state = self._slot(slot), self._state.take([slot]).copy()
        return {
            "input": own.input.snapshot(),
            "state": state,
            "postprocess": own.postprocess.copy(),
        }

    def restore(self, slot: int, snapshot: dict[str, Any]) -> None:
        """Go on in this slot from a snapshot of another slot, or of a stream made the same way."""
        own = self._slot(slot)
        own.input.restore(snapshot["input"])
        own.postprocess = snapshot["postprocess"].copy()
        own.total = None
        self._state.put([slot], snapshot["state"].copy())

    # -- all streams ---------------------------------------------------------------------------

    def ready(self, slot: int) -> bool:
        """Whether the audio of a whole hop waits to be computed."""
        own = self._slot(slot)
        if own.total is not None and not own.input.ready:
            own.input.pad_with_silence()
        return own.input.ready

    def step(self, slots: Sequence[int] | None = None) -> dict[int, PoseChunk]:
        """Compute one hop of each of `slots` that is ready (all unless given), in one batch."""
        chosen = self._ready(slots)
        if not chosen:
            return {}
        used = [self._slot(slot) for slot in chosen]
        windows = [own.input.next_window() for own in used]
        speakers = torch.tensor([own.speaker for own in used])
        with self._rows(chosen) as state:
            chunks = self._runner.step(state, windows, speakers)
        return self._finished(chosen, chunks)

    def skip(self, slots: Sequence[int]) -> dict[int, PoseChunk]:
        """Pass over one hop of each of `slots` that is ready, holding its last pose."""
        chosen = self._ready(slots)
        if not chosen:
            return {}
        windows = [self._slot(slot).input.next_window() for slot in chosen]
        with self._rows(chosen) as state:
            chunks = self._runner.hold_pose(state, windows)
        return self._finished(chosen, chunks)

    # -- inside --------------------------------------------------------------------------------

    def _new_input(self) -> StreamInput:
        return StreamInput(self._config, self.schedule, self._vocabulary, self.events)

    def _slot(self, slot: int) -> _Slot:
        own = self._slots[slot] if 0 <= slot < self.capacity else None
        if own is None:
            raise ConfigError(f"slot {slot} is not open; in use: {self.slots or 'none'}")
        return own

    def _ready(self, slots: Sequence[int] | None) -> list[int]:
        wanted = self.slots if slots is None else slots
        return [slot for slot in wanted if self.ready(slot)]

    @contextmanager
    def _rows(self, slots: list[int]) -> Iterator[StreamState]:
        """The state of these slots, to be written in place."""
        if slots == list(range(self.capacity)):
            yield self._state
            return
        state = self._state.take(slots)
        yield state
        self._state.put(slots, state)

    def _finished(self, slots: list[int], chunks: list[PoseChunk]) -> dict[int, PoseChunk]:
        """Chunks by slot, post-processed and cut where the audio of a stream ended."""
        result = {}
        for slot, chunk in zip(slots, chunks, strict=True):
            own = self._slot(slot)
            whole = own.postprocess.apply(chunk)
            cut = whole if own.total is None else whole.before(own.total)
            if cut is not None:
                result[slot] = cut
        return result
