"""StreamPool: many speakers, one batch. Streams that start, stall and stop apart. Sans-I/O.

Each slot is what a GestureStream is, with the same frames (to rounding: a batch multiplies in
another order) whatever its neighbours do; a hop of any set of slots is computed in one forward
pass. Who is computed when is the host's choice, see `engine.stream.scheduler`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
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
from engine.stream.input import Latency, StreamInput, speaker_index, until
from engine.stream.stream import build_runner, step_name
from engine.system.threads import set_threads
from engine.text.words import TimedWord, Vocabulary


@dataclass
class _Seat:
    """A slot in use. total: frames of the whole stream once its sound has ended."""

    listener: StreamInput
    speaker: int
    finish: PostProcess
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
        listener = self._new_listener()
        self.latency: Latency = listener.latency
        self.first_hop_samples = listener.first_hop_samples
        self._runner = build_runner(bundle, self.schedule, listener.front, step)
        self._rest = self._runner.fresh([0])
        self._state = self._runner.fresh([0] * capacity)
        self._seats: list[_Seat | None] = [None] * capacity

    # -- coming and going ----------------------------------------------------------------------

    @property
    def slots(self) -> list[int]:
        """The slots in use."""
        return [slot for slot, seat in enumerate(self._seats) if seat is not None]

    def open(self, speaker: int | str = 0, seed: int = 0) -> int:
        """Begin a stream at sample 0 and frame 0; its slot."""
        number = speaker_index(self._config.speakers, speaker)
        if None not in self._seats:
            raise ConfigError(
                f"all {self.capacity} streams of the pool are in use; close one, or make a larger "
                "pool"
            )
        slot = self._seats.index(None)
        self._seats[slot] = _Seat(
            self._new_listener(),
            number,
            self._config.new_postprocess(number, seed),
        )
        self._rest.noise[0] = self._runner.noise(seed)
        self._state.put([slot], self._rest)
        return slot

    def close(self, slot: int) -> None:
        """Forget a stream; its slot is free."""
        self._seat(slot)
        self._seats[slot] = None

    # -- one stream ----------------------------------------------------------------------------

    def feed_audio(self, slot: int, samples: ArrayLike) -> None:
        """Take mono samples `[S]` at the bundle's rate: float -1..1 or int16. Computes no pose."""
        self._seat(slot).listener.feed_audio(samples)

    def feed_words(self, slot: int, words: Sequence[TimedWord]) -> None:
        """Take words, late or early; what overlaps earlier ones replaces them."""
        self._seat(slot).listener.feed_words(words, self.next_frame(slot))

    def finish(self, slot: int) -> None:
        """The sound is over: the remaining frames come with the next steps, then `is_over`."""
        seat = self._seat(slot)
        seat.listener.finish()
        seat.total = seat.listener.frames_heard

    def is_over(self, slot: int) -> bool:
        """Whether the sound has ended and all its frames have come."""
        total = self._seat(slot).total
        return total is not None and self.next_frame(slot) >= total

    def cancel(self, slot: int) -> None:
        """Stop speaking at once: waiting audio turns to silence, the motion settles in 300 ms."""
        self._seat(slot).listener.cancel()
        with self._rows([slot]) as state:
            self._runner.settle(state)

    def next_frame(self, slot: int) -> int:
        """Index of the next frame to come out."""
        return int(self._state.frame[slot])

    def snapshot(self, slot: int) -> dict[str, Any]:
        """Everything remembered of a stream that goes on, as `GestureStream.snapshot` gives it."""
        seat, state = self._seat(slot), self._state.take([slot]).copy()
        return {"listener": seat.listener.snapshot(), "state": state, "finish": seat.finish.copy()}

    def restore(self, slot: int, snapshot: dict[str, Any]) -> None:
        """Go on in this slot from a snapshot of another slot, or of a stream made the same way."""
        seat = self._seat(slot)
        seat.listener.restore(snapshot["listener"])
        seat.finish = snapshot["finish"].copy()
        seat.total = None
        self._state.put([slot], snapshot["state"].copy())

    # -- all streams ---------------------------------------------------------------------------

    def ready(self, slot: int) -> bool:
        """Whether the audio of a whole hop waits to be computed."""
        seat, frame = self._seat(slot), self.next_frame(slot)
        if seat.total is not None and not seat.listener.ready(frame):
            seat.listener.pad(frame)
        return seat.listener.ready(frame)

    def step(self, slots: Sequence[int] | None = None) -> dict[int, PoseChunk]:
        """Compute one hop of each of `slots` that is ready (all unless given), in one batch."""
        chosen = self._ready(slots)
        if not chosen:
            return {}
        seats = [self._seat(slot) for slot in chosen]
        heard = [s.listener.take(self.next_frame(i)) for i, s in zip(chosen, seats, strict=True)]
        entries = [new for new, _ in heard]
        words = np.stack([shown for _, shown in heard])
        speakers = torch.tensor([seat.speaker for seat in seats])
        with self._rows(chosen) as state:
            chunks = self._runner.step(state, entries, words, speakers)
        return self._finished(chosen, chunks)

    def skip(self, slots: Sequence[int]) -> dict[int, PoseChunk]:
        """Pass over one hop of each of `slots` that is ready, holding its last pose."""
        chosen = self._ready(slots)
        if not chosen:
            return {}
        heard = [self._seat(i).listener.take(self.next_frame(i))[0] for i in chosen]
        with self._rows(chosen) as state:
            chunks = self._runner.hold(state, heard)
        return self._finished(chosen, chunks)

    # -- inside --------------------------------------------------------------------------------

    def _new_listener(self) -> StreamInput:
        return StreamInput(self._config, self.schedule, self._vocabulary, self.events)

    def _seat(self, slot: int) -> _Seat:
        seat = self._seats[slot] if 0 <= slot < self.capacity else None
        if seat is None:
            raise ConfigError(f"slot {slot} is not open; in use: {self.slots or 'none'}")
        return seat

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
        """Chunks by slot, flagged, finished, and cut where the sound of a stream ended."""
        result = {}
        for slot, chunk in zip(slots, chunks, strict=True):
            seat = self._seat(slot)
            whole = seat.finish.apply(seat.listener.flagged(chunk))
            cut = whole if seat.total is None else until(whole, seat.total)
            if cut is not None:
                result[slot] = cut
        return result
