"""The Kernel protocol: one stateless forward pass over one window, shapes fixed by the bundle.

No call depends on an earlier one; all memory lies in the runner's StreamState. (What a kernel keeps
to save work, as `engine.kernels.encoder_cache` does, changes no result.)
"""

from typing import NamedTuple, Protocol

from torch import Tensor


class WindowInputs(NamedTuple):
    """What the gesture transformer sees of T frames.

    motion `[B, T, 337]` in the layout MOTION, valid where mask is 0.
    mask `[B, T, 337]`: 1 hides a channel, 0 shows it (a seed gesture or a body hint).
    audio: features `[B, T, F]`, or samples `[B, S]` for a design that encodes the waveform.
    words `[B, T]` int64: vocabulary index of the word spoken in each frame (0 = none).
    speaker `[B]` int64.
    """

    motion: Tensor
    mask: Tensor
    audio: Tensor
    words: Tensor
    speaker: Tensor


class WindowOutputs(NamedTuple):
    """One entry a part, in the order of BodyPart (face, upper, hands, lower).

    latents: P tensors `[B, n, D]`, the regressed latents.
    logits: P tensors `[B, n, V]`, scores over the part's codebook.
    n: the newest frames of the window, as many as the kernel was made for.
    """

    latents: tuple[Tensor, ...]
    logits: tuple[Tensor, ...]


class Kernel(Protocol):
    """A backend that runs the gesture transformer.

    What of a window it gives is fixed when it is made: all frames, or the newest that a schedule
    takes of it (`engine.generate.schedule.Schedule.newest`), which is less work.
    """

    name: str

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window."""
        ...
