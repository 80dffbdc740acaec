"""Temporal convolutions of the motion autoencoders and of the motion encoder.

Everything here is channels first, `[B, C, T]`, keeps the number of frames, and declares how many
frames it sees before and after each frame. Knows nothing of motion or codes.
"""

import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Negative slope of the autoencoders' leaky ReLU."""


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

    def forward(self, x: Tensor) -> Tensor:
        # Padded here and not by the convolution: the copy is contiguous, and thus several times
        # faster on a CPU than a convolution of a transposed view.
        return super().forward(F.pad(x, (self.left_context, self.right_context)))


class ResidualUnit(nn.Module):
    """x + conv(leaky(conv(x)))."""

    def __init__(self, width: int, *, causal: bool = False) -> None:
        super().__init__()
        self.first = TemporalConv(width, width, causal=causal)
        self.second = TemporalConv(width, width, causal=causal)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu(self.first(x), SLOPE))


class EncoderBlock(nn.Module):
    """Convolution, leaky ReLU, residual unit."""

    def __init__(self, channels: int, width: int, *, causal: bool = False) -> None:
        super().__init__()
        self.conv = TemporalConv(channels, width, causal=causal)
        self.residual = ResidualUnit(width, causal=causal)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(F.leaky_relu(self.conv(x), SLOPE))


class ConvEncoder(nn.Module):
    """`layers` blocks, `[B, channels, T] -> [B, width, T]`, no down-sampling."""

    def __init__(self, channels: int, width: int, layers: int, *, causal: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            EncoderBlock(width if i else channels, width, causal=causal) for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
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

    def forward(self, x: Tensor) -> Tensor:
        for residual in self.residuals:
            x = residual(x)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
        return self.last(x)


def context(module: nn.Module) -> tuple[int, int]:
    """Frames that a chain of convolutions sees (before, after) each frame.

    The sum over all of them: right where they follow one another, as in this file.
    """
    convs = [m for m in module.modules() if isinstance(m, TemporalConv)]
    return sum(c.left_context for c in convs), sum(c.right_context for c in convs)
