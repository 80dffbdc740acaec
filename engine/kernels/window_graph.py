"""The gesture transformer as a flat graph, and a compiled graph of it as a kernel."""

import re
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn

from engine.errors import ShapeError
from engine.kernels.graph import Executable, GraphSpec, Tensors
from engine.model.types import Kernel, WindowInputs, WindowOutputs

PARTS: Final = ("face", "upper", "hands", "lower")
OUTPUTS: Final = (*(f"latents_{part}" for part in PARTS), *(f"logits_{part}" for part in PARTS))

_INT8_LAYERS: Final = (
    r"body\.(self|cross)_attention\.",
    r"audio\.blocks\.(?!0\.(outer|around)\b)",
)
_FACE_INT8_LAYERS: Final = r"(self_attn|feed_forward|key_value)"


def int8_layers(model: nn.Module) -> tuple[str, ...]:
    """Patterns of the layers of a gesture transformer that tolerate int8, see `GraphSpec`.

    Body attention, waveform encoders, face self-attention and feed-forward: most of the work.
    Excluded for accuracy: face cross-attention, its last layer's speech K/V, body MLPs, refiners.
    Excluded because int8 is not faster there: the first, single-channel convolution.
    """
    named = (name for name, _ in model.named_modules(remove_duplicate=False))
    cross = [name for name in named if re.search(r"^face\..*cross_attn$", name)]
    if not cross:
        return _INT8_LAYERS
    last = re.escape(cross[-1].removeprefix("face."))
    return (*_INT8_LAYERS, rf"model\.face\.(?!{last}\.).*{_FACE_INT8_LAYERS}")


BF16_LAYERS: Final = (
    *(r"_attn", r"feed_forward", r"mlps", r"_hint"),
    r"model\.motion\..*_convolution",
)
"""Attention, feed-forward, hints and the convolutions over motion. The first and last linear layers
(motion and mask, speech, words, scores, latents) are little work, and bfloat16 there would change
5 % of the codes. Int8 in the layer of [motion | mask] alone would change latents by 7 %, because
its weights for the two differ in size."""


@dataclass(frozen=True)
class WindowShape:
    """Shapes of a kernel's windows.

    Attributes:
        rows: batch size B.
        frames: frames T.
        audio_steps: frames of features, or samples, in a window.
        channels: channels of an audio step.
        motion: motion channels of a frame.
        words: size of the vocabulary.
        speakers: number of speakers.
        newest: frames that the kernel outputs of each window, the newest; None: all.

    """

    rows: int
    frames: int
    audio_steps: int
    channels: int
    motion: int
    words: int
    speakers: int
    newest: int | None = None


class WindowModule(nn.Module):
    """The transformer from the tensors of WindowInputs to those of WindowOutputs, flat."""

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
    """The outputs of `WindowModule` as WindowOutputs."""
    parts = len(tensors) // 2
    return WindowOutputs(tensors[:parts], tensors[parts:])


def draw_window(shape: WindowShape, generator: torch.Generator) -> WindowInputs:
    """A random window: a seed of random length is visible, the rest is masked."""
    rows, frames = shape.rows, shape.frames
    motion = torch.randn(rows, frames, shape.motion, generator=generator) * 0.5
    visible = int(torch.randint(1, max(frames, 2), (), generator=generator))
    mask = torch.ones(rows, frames, shape.motion)
    mask[:, :visible] = 0.0
    audio = torch.randn(rows, shape.audio_steps, shape.channels, generator=generator) * 0.5
    words = torch.randint(0, max(shape.words, 1), (rows, frames), generator=generator)
    speaker = torch.randint(0, shape.speakers, (rows,), generator=generator)
    return WindowInputs(motion, mask, audio, words, speaker)


def window_graph(model: nn.Module, shape: WindowShape) -> GraphSpec:
    """The graph of the gesture transformer `model` for windows of one shape."""
    example = draw_window(shape, torch.Generator().manual_seed(0))
    name = "window" if shape.newest is None else f"window-newest{shape.newest}"
    module = WindowModule(model, shape.newest).eval()
    names = WindowInputs._fields, OUTPUTS
    graph = GraphSpec(name, module, tuple(example), *names)
    return replace(graph, int8_layers=int8_layers(model), bf16_layers=BF16_LAYERS)


class CompiledKernel:
    """A kernel that runs a compiled graph, and `other` for windows of other shapes.

    The last window of a file is shorter. Without `other` it raises ShapeError, and the network's
    own weights need not stay in memory.
    """

    def __init__(self, name: str, run: Executable, graph: GraphSpec, other: Kernel | None) -> None:
        self.name = name
        self._run = run
        self._shapes = [tensor.shape for tensor in graph.example]
        self._other = other

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window."""
        if [tensor.shape for tensor in inputs] != self._shapes:
            return self._other_shape(inputs)
        return window_outputs(self._run(tuple(inputs)))

    def _other_shape(self, inputs: WindowInputs) -> WindowOutputs:
        if self._other is None:
            raise ShapeError(
                f"kernel {self.name} was made for inputs of {[list(s) for s in self._shapes]}, got "
                f"{[list(tensor.shape) for tensor in inputs]}; use the eager kernel for these"
            )
        return self._other(inputs)
