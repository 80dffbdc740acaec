"""The gesture transformer as a flat graph, and a graph made ready as a kernel.

Backends see tensors in and tensors out; the rest of the engine sees windows. This file knows both,
and no backend.
"""

import re
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from engine.errors import ShapeError
from engine.kernels.graph import Graph, Run, Tensors
from engine.model.types import Kernel, WindowInputs, WindowOutputs

PARTS: Final = ("face", "upper", "hands", "lower")
OUTPUTS: Final = (*(f"latents_{part}" for part in PARTS), *(f"logits_{part}" for part in PARTS))

_ROBUST: Final = (
    r"body\.(self|cross)_attention\.",
    r"audio\.blocks\.(?!0\.(outer|around)\b)",
)
_FACE_ROBUST: Final = r"(self_attn|feed_forward|key_value)"


def robust(model: nn.Module) -> tuple[str, ...]:
    """Patterns of what bears 8 bits in a gesture transformer, see `Graph`.

    The body's attention, waveform encoders, of the face's decoder what does not look at speech:
    most of the work. What the face asks speech and finds there, its last layer's keys and values of
    speech, the body's perceptrons and its refiners lose the most codes; what reads the one channel
    of a waveform is no faster by it.
    """
    named = (name for name, _ in model.named_modules(remove_duplicate=False))
    looking = [name for name in named if re.search(r"^face\..*cross_attn$", name)]
    if not looking:
        return _ROBUST
    last = re.escape(looking[-1].removeprefix("face."))
    return (*_ROBUST, rf"model\.face\.(?!{last}\.).*{_FACE_ROBUST}")


ROUNDED: Final = (r"_attn", r"feed_forward", r"mlps", r"_hint", r"model\.motion\..*_convolution")
"""Attention, feed-forward, hints and the convolutions over motion. The linear maps at the ends, of
motion and mask, speech, words, scores and latents, are little work and would lose 5 % of the codes
by bfloat16; by 8 bits that of [motion | mask] alone puts latents 7 % off, as its weights for the
two differ in size."""


@dataclass(frozen=True)
class WindowShape:
    """Shapes of a kernel's windows.

    rows B, frames T, entries: of sound in a window (frames of features, or samples), channels:
    of an entry; motion: channels of a frame's motion; words, speakers: how many there are to draw
    from. newest: frames that the kernel gives of each window; all if None.
    """

    rows: int
    frames: int
    entries: int
    channels: int
    motion: int
    words: int
    speakers: int
    newest: int | None = None


class FlatWindow(nn.Module):
    """The transformer: the tensors of WindowInputs in, those of WindowOutputs out, unpacked."""

    def __init__(self, model: nn.Module, newest: int | None) -> None:
        super().__init__()
        self.model = model
        self.newest = newest

    def forward(
        self, motion: Tensor, mask: Tensor, audio: Tensor, words: Tensor, speaker: Tensor
    ) -> Tensors:
        inputs = WindowInputs(motion, mask, audio, words, speaker)
        outputs = self.model(inputs, newest=self.newest)
        return (*outputs.latents, *outputs.logits)


def window_outputs(tensors: Tensors) -> WindowOutputs:
    """What `FlatWindow` gives, as the rest of the engine sees it."""
    parts = len(tensors) // 2
    return WindowOutputs(tensors[:parts], tensors[parts:])


def draw_window(shape: WindowShape, generator: torch.Generator) -> WindowInputs:
    """A random window as live ones look: a seed of random length is seen, the rest is hidden."""
    rows, frames = shape.rows, shape.frames
    motion = torch.randn(rows, frames, shape.motion, generator=generator) * 0.5
    seen = int(torch.randint(1, max(frames, 2), (), generator=generator))
    mask = torch.ones(rows, frames, shape.motion)
    mask[:, :seen] = 0.0
    audio = torch.randn(rows, shape.entries, shape.channels, generator=generator) * 0.5
    words = torch.randint(0, max(shape.words, 1), (rows, frames), generator=generator)
    speaker = torch.randint(0, shape.speakers, (rows,), generator=generator)
    return WindowInputs(motion, mask, audio, words, speaker)


def window_graph(model: nn.Module, shape: WindowShape) -> Graph:
    """The graph of the gesture transformer `model` for windows of one shape."""
    example = draw_window(shape, torch.Generator().manual_seed(0))
    name = "window" if shape.newest is None else f"window-newest{shape.newest}"
    module = FlatWindow(model, shape.newest).eval()
    names = WindowInputs._fields, OUTPUTS
    return Graph(name, module, tuple(example), *names, robust=robust(model), rounded=ROUNDED)


class GraphKernel:
    """A kernel that runs a graph made ready; windows of other shapes go to `other`.

    Those are the last windows of files, which are shorter. Without `other` they raise ShapeError,
    and the network's own weights need not stay in memory.
    """

    def __init__(self, name: str, run: Run, graph: Graph, other: Kernel | None) -> None:
        self.name = name
        self._run = run
        self._shapes = [tensor.shape for tensor in graph.example]
        self._other = other

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window."""
        if [tensor.shape for tensor in inputs] != self._shapes:
            return self._elsewhere(inputs)
        return window_outputs(self._run(tuple(inputs)))

    def _elsewhere(self, inputs: WindowInputs) -> WindowOutputs:
        if self._other is None:
            raise ShapeError(
                f"kernel {self.name} was made for inputs of {[list(s) for s in self._shapes]}, got "
                f"{[list(tensor.shape) for tensor in inputs]}; use the eager kernel for these"
            )
        return self._other(inputs)
