"""Temporal convolutions of the motion autoencoders and of the motion encoder.

All modules are channels first, `[B, C, T]`, and keep the number of frames. `newest` restricts the
output to that many newest frames, with the same values, and computes only their receptive field;
None for all frames.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Negative slope of the autoencoders' leaky ReLU."""


def _with_context(newest: int | None, before: int) -> int | None:
    """Number of newest frames with their left context `before`."""
    return None if newest is None else newest + before


def _later_contexts(chain: Sequence[nn.Module]) -> list[int]:
    """Left context, for each module of a chain, of all modules after it."""
    contexts = [context(module)[0] for module in chain]
    return [sum(contexts[i + 1 :]) for i in range(len(contexts))]


class TemporalConv(nn.Conv1d):
    """A convolution over time `[B, C, T] -> [B, C', T]`.

    A causal convolution is padded on the left only; otherwise the kernel (odd) is centred.
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
            # For few frames one matmul takes half the time of a convolution. Exported and compiled
            # graphs keep the convolution, which their compilers optimise.
            rows = F.pad(x.transpose(1, 2), (0, 0, before, self.right_context))
            windows = rows.unfold(1, self.kernel_size[0], 1).flatten(2)
            return F.linear(windows, self.weight.flatten(1), self.bias).transpose(1, 2)
        # Explicit padding makes a contiguous copy; a convolution of a transposed view is several
        # times slower on a CPU.
        return super().forward(F.pad(x, (before, self.right_context)))


class ResidualUnit(nn.Module):
    """x + conv(leaky_relu(conv(x)))."""

    def __init__(self, width: int, *, causal: bool = False) -> None:
        super().__init__()
        self.first = TemporalConv(width, width, causal=causal)
        self.second = TemporalConv(width, width, causal=causal)

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        inner = self.first(x, _with_context(newest, self.second.left_context))
        residual = x if newest is None else x[..., -newest:]
        return residual + self.second(F.leaky_relu(inner, SLOPE), newest)


class EncoderBlock(nn.Module):
    """Convolution, leaky ReLU, residual unit."""

    def __init__(self, channels: int, width: int, *, causal: bool = False) -> None:
        super().__init__()
        self.conv = TemporalConv(channels, width, causal=causal)
        self.residual = ResidualUnit(width, causal=causal)
        self._residual_context = context(self.residual)[0]

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        inner = self.conv(x, _with_context(newest, self._residual_context))
        return self.residual(F.leaky_relu(inner, SLOPE), newest)


class ConvEncoder(nn.Module):
    """`layers` blocks, `[B, channels, T] -> [B, width, T]`, without down-sampling."""

    def __init__(self, channels: int, width: int, layers: int, *, causal: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            EncoderBlock(width if i else channels, width, causal=causal) for i in range(layers)
        )
        self._later_contexts = _later_contexts([*self.blocks])

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        for block, later in zip(self.blocks, self._later_contexts, strict=True):
            x = block(x, _with_context(newest, later))
        return x


class ConvDecoder(nn.Module):
    """Residual units, convolutions with leaky ReLU, a last one: `[B, width, T] -> [B, out, T]`.

    There are two residual units and `layers` convolutions; the last of those has width `out`.
    """

    def __init__(self, width: int, out: int, layers: int, *, causal: bool = False) -> None:
        super().__init__()
        self.residuals = nn.ModuleList(ResidualUnit(width, causal=causal) for _ in range(2))
        self.convs = nn.ModuleList(
            TemporalConv(width, out if i == layers - 1 else width, causal=causal)
            for i in range(layers)
        )
        self.last = TemporalConv(out, out, causal=causal)
        self._later_contexts = _later_contexts([*self.residuals, *self.convs, self.last])

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        sizes = [_with_context(newest, later) for later in self._later_contexts]
        for residual, size in zip(self.residuals, sizes, strict=False):
            x = residual(x, size)
        for conv, size in zip(self.convs, sizes[len(self.residuals) :], strict=False):
            x = F.leaky_relu(conv(x, size), SLOPE)
        return self.last(x, newest)


def context(module: nn.Module) -> tuple[int, int]:
    """Left and right context of a chain of convolutions, in frames.

    The sum over all convolutions in `module`, which must follow each other.
    """
    convs = [m for m in module.modules() if isinstance(m, TemporalConv)]
    return sum(c.left_context for c in convs), sum(c.right_context for c in convs)
