"""Temporal convolutions of the motion autoencoders and of the motion encoder.

Everything here is channels first, `[B, C, T]`, keeps the number of frames, and declares how many
frames it sees before and after each frame. `newest`: give only so many of the newest frames, the
same as among all of them, and compute only what these see; all frames unless given. Knows nothing
of motion or codes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Negative slope of the autoencoders' leaky ReLU."""


def _and(newest: int | None, before: int) -> int | None:
    """The newest frames and those `before` them that they see."""
    return None if newest is None else newest + before


def _after(chain: Sequence[nn.Module]) -> list[int]:
    """For each of a chain of modules: how far back all after it see."""
    reaches = [context(module)[0] for module in chain]
    return [sum(reaches[i + 1 :]) for i in range(len(reaches))]


class TemporalConv(nn.Conv1d):
    """A convolution over time `[B, C, T] -> [B, C', T]`.

    Causal: zeros are set before the first frame only, so no frame sees a later one.
    Otherwise the kernel (odd) is centred.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int = 3, *, causal: bool = False
    ) -> None:
        super().__init__(channels_in, channels_out, kernel)
        self.right_context = 0 if causal else kernel // 2
        self.left_context = kernel - 1 - self.right_context

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        surplus = 0 if newest is None else max(x.shape[-1] - newest, 0)
        before = self.left_context - surplus  # negative padding crops
        if not torch.compiler.is_compiling() and torch.is_inference_mode_enabled():
            # One product of matrices does what a convolution of few frames does in half the time.
            # Exported and compiled graphs keep the convolution, which their makers know best.
            rows = F.pad(x.transpose(1, 2), (0, 0, before, self.right_context))
            windows = rows.unfold(1, self.kernel_size[0], 1).flatten(2)
            return F.linear(windows, self.weight.flatten(1), self.bias).transpose(1, 2)
        # Padded here and not by the convolution: the copy is contiguous, and thus several times
        # faster on a CPU than a convolution of a transposed view.
        return super().forward(F.pad(x, (before, self.right_context)))


class ResidualUnit(nn.Module):
    """x + conv(leaky(conv(x)))."""

    def __init__(self, width: int, *, causal: bool = False) -> None:
        super().__init__()
        self.first = TemporalConv(width, width, causal=causal)
        self.second = TemporalConv(width, width, causal=causal)

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        inner = self.first(x, _and(newest, self.second.left_context))
        kept = x if newest is None else x[..., -newest:]
        return kept + self.second(F.leaky_relu(inner, SLOPE), newest)


class EncoderBlock(nn.Module):
    """Convolution, leaky ReLU, residual unit."""

    def __init__(self, channels: int, width: int, *, causal: bool = False) -> None:
        super().__init__()
        self.conv = TemporalConv(channels, width, causal=causal)
        self.residual = ResidualUnit(width, causal=causal)
        self._reach = context(self.residual)[0]

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        seen = self.conv(x, _and(newest, self._reach))
        return self.residual(F.leaky_relu(seen, SLOPE), newest)


class ConvEncoder(nn.Module):
    """`layers` blocks, `[B, channels, T] -> [B, width, T]`, no down-sampling."""

    def __init__(self, channels: int, width: int, layers: int, *, causal: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            EncoderBlock(width if i else channels, width, causal=causal) for i in range(layers)
        )
        self._after = _after([*self.blocks])

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        for block, after in zip(self.blocks, self._after, strict=True):
            x = block(x, _and(newest, after))
        return x


class ConvDecoder(nn.Module):
    """Two residual units, `layers` leaky convolutions, a last one: `[B, width, T] -> [B, out, T]`.

    The last of the leaky convolutions already has the output's width.
    """

    def __init__(self, width: int, out: int, layers: int, *, causal: bool = False) -> None:
        super().__init__()
        self.residuals = nn.ModuleList(ResidualUnit(width, causal=causal) for _ in range(2))
        self.convs = nn.ModuleList(
            TemporalConv(width, out if i == layers - 1 else width, causal=causal)
            for i in range(layers)
        )
        self.last = TemporalConv(out, out, causal=causal)
        self._after = _after([*self.residuals, *self.convs, self.last])

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        sizes = [_and(newest, after) for after in self._after]
        for residual, size in zip(self.residuals, sizes, strict=False):
            x = residual(x, size)
        for conv, size in zip(self.convs, sizes[len(self.residuals) :], strict=False):
            x = F.leaky_relu(conv(x, size), SLOPE)
        return self.last(x, newest)


def context(module: nn.Module) -> tuple[int, int]:
    """Frames that a chain of convolutions sees (before, after) each frame.

    The sum over all of them: right where they follow one another, as in this file.
    """
    convs = [m for m in module.modules() if isinstance(m, TemporalConv)]
    return sum(c.left_context for c in convs), sum(c.right_context for c in convs)
