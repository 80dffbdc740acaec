"""StreamState: all memory of B streams between two steps, preallocated and written in place.

Rows are streams; each starts, stops and resets separately.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.generate.sampling import CorrelatedNoise

FloatArray = NDArray[np.float32]


class SeedRoot(StrEnum):
    """Root channels of the frames that are fed back as seeds."""

    VELOCITY = "velocity"  # the last seven channels of the lower body as decoded
    POSITION = "position"  # integrated position, jaw at rest (emage-text, 2024)


@dataclass
class Emitted:
    """The last two emitted frames of B streams, for the seam.

    rotations `[2, B, J, 4]`, face `[2, B, E]`, height `[2, B, 1]`, contacts `[2, B, 4]`.
    """

    rotations: FloatArray
    face: FloatArray
    height: FloatArray
    contacts: FloatArray


@dataclass
class EncoderState:
    """Waveform-encoder activations of the newest windows of B streams, for steps that cache them.

    Attributes:
        offset: `[B]`, samples pushed since the activations were stored.
        activations: `[1, C, P]` of each stream, never changed in place; None: nothing stored.

    """

    offset: NDArray[np.int64]
    activations: list[Tensor | None]

    @classmethod
    def empty(cls, rows: int) -> "EncoderState":
        """Nothing stored for any of `rows` streams."""
        return cls(np.zeros(rows, np.int64), [None] * rows)

    def advance(self, row: int, samples: int) -> None:
        """Record that the window of a stream moved on by `samples`."""
        self.offset[row] += samples

    def store(self, row: int, activations: Tensor) -> None:
        """Keep the activations `[1, C, P]` of a stream's newest window."""
        self.activations[row] = activations
        self.offset[row] = 0

    def clear(self) -> None:
        """Forget the activations of all streams: their samples were replaced."""
        self.activations[:] = [None] * len(self.activations)

    def take(self, rows: Sequence[int]) -> "EncoderState":
        """Some rows as a state of their own; the activations are shared."""
        return EncoderState(self.offset[list(rows)], [self.activations[row] for row in rows])

    def put(self, rows: Sequence[int], state: "EncoderState") -> None:
        """Write the rows of `state` over these rows, in place."""
        self.offset[list(rows)] = state.offset
        for row, activations in zip(rows, state.activations, strict=True):
            self.activations[row] = activations


@dataclass
class StreamState:
    """frame `[B]`: the next frame to emit. Histories end with the newest.

    audio `[B, E, F]` entries of the front end, motion `[B, W, 337]` emitted motion fed back as
    seeds, codes `[B, P, C]` emitted codes, ground `[B, 2]` x and z in metres (float64: never drifts
    by rounding). encoder: see `EncoderState`. kept: codes `[B, P, n]` of a whole file,
    decoded at its end.
    """

    frame: NDArray[np.int64]
    audio: Tensor
    motion: Tensor
    codes: Tensor
    ground: NDArray[np.float64]
    emitted: Emitted
    noise: list[CorrelatedNoise]
    encoder: EncoderState
    kept: list[Tensor] = field(default_factory=list)

    def copy(self) -> "StreamState":
        """An independent copy."""
        return deepcopy(self)

    def take(self, rows: Sequence[int]) -> "StreamState":
        """A state of some rows, in this order; only their noise is shared."""
        index = list(rows)
        last = self.emitted
        return StreamState(
            frame=self.frame[index],
            audio=self.audio[index],
            motion=self.motion[index],
            codes=self.codes[index],
            ground=self.ground[index],
            emitted=Emitted(
                rotations=last.rotations[:, index],
                face=last.face[:, index],
                height=last.height[:, index],
                contacts=last.contacts[:, index],
            ),
            noise=[self.noise[row] for row in index],
            encoder=self.encoder.take(index),
        )

    def put(self, rows: Sequence[int], state: "StreamState") -> None:
        """Write the rows of `state` over these rows, in place."""
        index = list(rows)
        for name in ("frame", "audio", "motion", "codes", "ground"):
            getattr(self, name)[index] = getattr(state, name)
        for name in ("rotations", "face", "height", "contacts"):
            getattr(self.emitted, name)[:, index] = getattr(state.emitted, name)
        for row, noise in zip(index, state.noise, strict=True):
            self.noise[row] = noise
        self.encoder.put(index, state.encoder)


def push(history: Tensor, fresh: Tensor, dim: int) -> None:
    """Drop the oldest entries along `dim` and append `fresh`, in place."""
    count = fresh.shape[dim]
    size = history.shape[dim]
    if count >= size:
        history.copy_(fresh.narrow(dim, count - size, size))
        return
    kept = history.narrow(dim, count, size - count).clone()
    history.narrow(dim, 0, size - count).copy_(kept)
    history.narrow(dim, size - count, count).copy_(fresh)


def keep_two(memory: np.ndarray, frames: np.ndarray) -> None:
    """Shift the newest of `frames [T, ...]` into `memory [2, ...]`, in place."""
    if len(frames) == 1:
        memory[0] = memory[1]
        memory[1] = frames[0]
    else:
        memory[:] = frames[-2:]


def empty_emitted(rows: int, joints: int, face: int) -> Emitted:
    """Zeros for two frames of `rows` streams."""
    return Emitted(
        rotations=np.zeros((2, rows, joints, 4), np.float32),
        face=np.zeros((2, rows, face), np.float32),
        height=np.zeros((2, rows, 1), np.float32),
        contacts=np.zeros((2, rows, 4), np.float32),
    )


def no_history(rows: int, frames: int, width: int, device: torch.device | None = None) -> Tensor:
    """Zeros `[rows, frames, width]`."""
    return torch.zeros(rows, frames, width, device=device)
