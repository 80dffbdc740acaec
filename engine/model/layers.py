"""Attention layers, a two-layer perceptron and sinusoidal positions. Batch first.

Shapes: x `[B, T, D]`, memory `[B, T', D]`. Layers normalise after the addition (post-norm), as in
all designs of EMAGE. `output_slice` selects the frames of x that are computed; they still attend to
all frames.
"""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ALL: Final = slice(None)
"""Output slice of all frames."""


class Mlp(nn.Module):
    """Linear, leaky ReLU, linear."""

    def __init__(self, width_in: int, hidden: int, width_out: int, slope: float) -> None:
        super().__init__()
        self.first = nn.Linear(width_in, hidden)
        self.second = nn.Linear(hidden, width_out)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.leaky_relu(self.first(x), self.slope))


class PeriodicPositions(nn.Module):
    """Sinusoidal positions with a period of `period` frames (PPE in EMAGE section 4.3)."""

    table: Tensor

    def __init__(self, width: int, period: int) -> None:
        super().__init__()
        time = torch.arange(period, dtype=torch.float32)[:, None]
        rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        table = torch.stack((torch.sin(time * rate), torch.cos(time * rate)), -1)
        self.register_buffer("table", table.flatten(1), persistent=False)

    def forward(self, frames: int) -> Tensor:
        """Positions `[1, frames, D]`."""
        period = self.table.shape[0]
        if frames <= period:
            return self.table[None, :frames]
        return self.table.repeat(-(-frames // period), 1)[None, :frames]


class Attention(nn.Module):
    """Multi-head attention of x to a memory, or to itself; dropout is that of the weights."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj.weight)
        nn.init.zeros_(self.in_proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def _split(self, x: Tensor, count: int) -> tuple[Tensor, ...]:
        """`[B, T, count * D]` to `count` tensors `[B, heads, T, D / heads]`."""
        batch, frames, _ = x.shape
        return tuple(x.view(batch, frames, count, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0))

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        if memory is None:
            return self._attention(*self._split(self.in_proj(x), 3))
        weight, bias, width = self.in_proj.weight, self.in_proj.bias, x.shape[-1]
        return self.attend(x, F.linear(memory, weight[width:], bias[width:]))

    def attend(self, x: Tensor, key_value: Tensor) -> Tensor:
        """Attention of x `[B, T, D]` to projected keys and values `[B, T', 2 * D]`."""
        return self.attend_projected(self.project_query(x), key_value)

    def project_query(self, x: Tensor) -> Tensor:
        """Projected queries `[B, T, D]` of x."""
        width = x.shape[-1]
        return F.linear(x, self.in_proj.weight[:width], self.in_proj.bias[:width])

    def attend_projected(self, query: Tensor, key_value: Tensor) -> Tensor:
        """`attend` for projected queries `[B, T, D]`."""
        (queries,) = self._split(query, 1)
        key, value = self._split(key_value, 2)
        return self._attention(queries, key, value)

    def _attention(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Output `[B, T, D]` for tensors `[B, heads, T, D / heads]`."""
        # The order of operations matters for large scores: in this order the checkpoints of 2024
        # give the same outputs as the reference implementation.
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training)
        mixed = weights @ value
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def attend(attention: Attention, x: Tensor, output_slice: slice) -> Tensor:
    """Self-attention of the frames in `output_slice` to all frames."""
    # For all frames, query, key and value come from one matmul.
    return attention(x) if output_slice == ALL else attention(x[:, output_slice], x)


class FeedForward(nn.Module):
    """Linear, ReLU, linear with dropout between."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(F.relu(self.linear1(x))))


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward network; hidden: its width, None for no such network."""

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int | None,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, attention_dropout)
        self.feed_forward = None if hidden is None else FeedForward(width, hidden, dropout)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = None if hidden is None else nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, output_slice: slice = ALL) -> Tensor:
        """Outputs `[B, n, D]` of the frames in `output_slice`."""
        attended = attend(self.self_attn, x, output_slice)
        x = self.norm1(x[:, output_slice] + self.dropout(attended))
        if self.feed_forward is None or self.norm2 is None:
            return x
        return self.norm2(x + self.dropout(self.feed_forward(x)))


class DecoderLayer(nn.Module):
    """Self-attention, attention to a memory, then a feed-forward network."""

    def __init__(
        self, width: int, heads: int, hidden: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, attention_dropout)
        self.cross_attn = Attention(width, heads, attention_dropout)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, output_slice: slice = ALL) -> Tensor:
        """Outputs `[B, n, D]` of the frames in `output_slice`."""
        return self.cross_block(self.self_block(x, output_slice), memory)

    def self_block(self, x: Tensor, output_slice: slice = ALL) -> Tensor:
        """Self-attention, residual and norm."""
        attended = attend(self.self_attn, x, output_slice)
        return self.norm1(x[:, output_slice] + self.dropout(attended))

    def cross_block(self, x: Tensor, memory: Tensor) -> Tensor:
        """Attention to the memory, then `feed_forward_block`; the rest of the layer."""
        return self.feed_forward_block(x, self.cross_attn(x, memory))

    def feed_forward_block(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add the output of the cross-attention, then the feed-forward network with residual."""
        x = self.norm2(x + self.dropout(attended))
        return self.norm3(x + self.dropout(self.feed_forward(x)))


class DecoderStack(nn.Module):
    """Decoder layers with one common memory."""

    def __init__(self, layers: list[DecoderLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, memory: Tensor, output_slice: slice = ALL) -> Tensor:
        """Outputs `[B, n, D]` of the frames in `output_slice`."""
        *before, last = self.layers
        for layer in before:
            x = layer(x, memory)
        return last(x, memory, output_slice)
