"""Attention layers, a two-layer perceptron and sinusoidal positions. Batch first throughout.

Shapes: x `[B, T, D]`, memory `[B, T', D]`. Layers normalise after the addition (post-norm), as all
designs of EMAGE do. `wanted` are the frames of x that a result is asked for: the others are seen as
they always are, and cost only what is seen of them. Knows nothing of gestures or speech.
"""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EVERY: Final = slice(None)
"""A result for every frame."""


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
    """Sinusoidal positions that begin again every `period` frames (PPE in EMAGE section 4.3)."""

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
    """Multi-head attention of x on a memory, or on itself; dropout is that of its weights."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj.weight)
        nn.init.zeros_(self.in_proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def _split(self, x: Tensor, pieces: int) -> tuple[Tensor, ...]:
        """`[B, T, pieces * D]` to `pieces` tensors `[B, heads, T, D / heads]`."""
        batch, frames, _ = x.shape
        return tuple(x.view(batch, frames, pieces, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0))

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        if memory is None:
            return self._mixed(*self._split(self.in_proj(x), 3))
        weight, bias, width = self.in_proj.weight, self.in_proj.bias, x.shape[-1]
        return self.attend(x, F.linear(memory, weight[width:], bias[width:]))

    def attend(self, x: Tensor, key_value: Tensor) -> Tensor:
        """Attention of x `[B, T, D]` on keys and values `[B, T', 2 * D]` as they are projected."""
        return self.answer(self.ask(x), key_value)

    def ask(self, x: Tensor) -> Tensor:
        """Queries `[B, T, D]` of x."""
        width = x.shape[-1]
        return F.linear(x, self.in_proj.weight[:width], self.in_proj.bias[:width])

    def answer(self, query: Tensor, key_value: Tensor) -> Tensor:
        """What `attend` gives, of queries `[B, T, D]`."""
        (asked,) = self._split(query, 1)
        key, value = self._split(key_value, 2)
        return self._mixed(asked, key, value)

    def _mixed(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Of tensors `[B, heads, T, D / heads]`: `[B, T, D]`."""
        # Scores of large values round differently in another order of operations; this is the one
        # in which the published checkpoints of 2024 come out as their own program gives them.
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training)
        mixed = weights @ value
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def attend(attention: Attention, x: Tensor, wanted: slice) -> Tensor:
    """Self-attention of the frames that are wanted on all frames."""
    # Of all frames query, key and value come from one product.
    return attention(x) if wanted == EVERY else attention(x[:, wanted], x)


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
    """Self-attention, then a feed-forward network, which is left out where hidden is None."""

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

    def forward(self, x: Tensor, wanted: slice = EVERY) -> Tensor:
        """`[B, n, D]`: of the T frames of x those that are wanted."""
        attended = attend(self.self_attn, x, wanted)
        x = self.norm1(x[:, wanted] + self.dropout(attended))
        if self.feed_forward is None or self.norm2 is None:
            return x
        return self.norm2(x + self.dropout(self.feed_forward(x)))


class DecoderLayer(nn.Module):
    """Self-attention, attention on a memory, then a feed-forward network."""

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

    def forward(self, x: Tensor, memory: Tensor, wanted: slice = EVERY) -> Tensor:
        """`[B, n, D]`: of the T frames of x those that are wanted."""
        return self.heed(self.gather(x, wanted), memory)

    def gather(self, x: Tensor, wanted: slice = EVERY) -> Tensor:
        """The first third: self-attention."""
        attended = attend(self.self_attn, x, wanted)
        return self.norm1(x[:, wanted] + self.dropout(attended))

    def heed(self, x: Tensor, memory: Tensor) -> Tensor:
        """What follows self-attention."""
        return self.digest(x, self.cross_attn(x, memory))

    def digest(self, x: Tensor, found: Tensor) -> Tensor:
        """What follows attention on a memory: x and what was found there."""
        x = self.norm2(x + self.dropout(found))
        return self.norm3(x + self.dropout(self.feed_forward(x)))


class DecoderStack(nn.Module):
    """Decoder layers that all attend to one memory."""

    def __init__(self, layers: list[DecoderLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, memory: Tensor, wanted: slice = EVERY) -> Tensor:
        """`[B, n, D]`: of the T frames of x those that are wanted."""
        *before, last = self.layers
        for layer in before:
            x = layer(x, memory)
        return last(x, memory, wanted)
