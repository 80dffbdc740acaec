"""The Kernel protocol: one stateless forward pass over one window with fixed shapes.

No call depends on an earlier one; all memory is in the runner's StreamState.
"""

from typing import NamedTuple, Protocol

from torch import Tensor


class WindowInputs(NamedTuple):
    """Input of the gesture transformer for T frames.

    Attributes:
        motion: `[B, T, 337]` in the layout MOTION, valid where mask is 0.
        mask: `[B, T, 337]`; 1 hides a channel, 0 shows it (a seed gesture or a body hint).
        audio: features `[B, T, F]`, or samples `[B, S]` for a design that encodes the waveform.
        words: `[B, T]` int64, vocabulary index of the word spoken in each frame (0 = none).
        speaker: `[B]` int64.

    """

    motion: Tensor
    mask: Tensor
    audio: Tensor
    words: Tensor
    speaker: Tensor


class WindowOutputs(NamedTuple):
    """Output of the gesture transformer, one entry per part in the order of BodyPart.

    Attributes:
        latents: P tensors `[B, n, D]`, the regressed latents.
        logits: P tensors `[B, n, V]`, scores over the part's codebook.

    `n` is the number of newest frames, fixed when the kernel is built.

    """

    latents: tuple[Tensor, ...]
    logits: tuple[Tensor, ...]


class Kernel(Protocol):
    """A backend that runs the gesture transformer.

    The number of output frames is fixed at construction: the whole window, or only the newest
    frames the schedule uses (`engine.generate.schedule.Schedule.newest`), which is cheaper.
    """

    name: str

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward pass over one window."""
        ...
