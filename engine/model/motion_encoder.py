"""Masked motion encoders: one vector per frame from a partly visible gesture.

Every encoder maps (motion `[B, T, C]`, mask `[B, T, C]`) to `[B, T, D]`; mask is 1 for a hidden
channel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.model.layers import EncoderLayer


class MaskedMotionEncoder(nn.Module):
    """Replaces hidden channels by a learned vector, then applies convolutions over time.

    embed: linear map of [channels | mask], `[B, T, 2C] -> [B, T, D']`, which tells a hidden channel
    from a visible one with the learned value; None, as published, for convolutions of the channels
    alone. convolve: `[B, C or D', T] -> [B, D, T]`.
    """

    def __init__(self, channels: int, embed: nn.Linear | None, convolve: nn.Module) -> None:
        super().__init__()
        self.mask_embedding = nn.Parameter(torch.zeros(channels))
        nn.init.normal_(self.mask_embedding, std=channels**-0.5)
        self.embed = embed
        self.convolve = convolve

    def forward(self, motion: Tensor, mask: Tensor) -> Tensor:
        # where, not a weighted sum: masked values are arbitrary, even NaN.
        x = torch.where(mask > 0.5, self.mask_embedding, motion)
        if self.embed is not None:
            x = self.embed(torch.cat((x, mask), -1))
        return self.convolve(x.transpose(1, 2)).transpose(1, 2)


class SpatialMotionEncoder(nn.Module):
    """Attention over the tokens of one frame; the CLS token is the frame's feature (SSAT, eq. 6).

    A token is, for example, the six channels of a joint. A token with any hidden channel is
    replaced by the learned mask embedding `[D]`: the paper masks joints and frames, and part of a
    rotation is no rotation. Each token has its own linear map to D and its own learned position.
    There is no attention between frames.

    sizes: channels of each token, in order.
    """

    def __init__(self, sizes: Sequence[int], width: int, layers: Sequence[EncoderLayer]) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.embed = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.mask_embedding = nn.Parameter(torch.zeros(width))
        self.cls = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.zeros(len(self.sizes), width))
        for parameter in (self.mask_embedding, self.cls, self.positions):
            nn.init.normal_(parameter, std=width**-0.5)
        self.layers = nn.Sequential(*layers[:-1])
        self.summarise = layers[-1]

    def tokens(self, motion: Tensor, mask: Tensor) -> Tensor:
        """Tokens `[B, T, J, D]` with their positions, without CLS."""
        hidden = mask > 0.5
        # Zeros first: masked values are arbitrary, even NaN, and so would their gradient be.
        parts = torch.split(motion.masked_fill(hidden, 0.0), self.sizes, -1)
        visible = [embed(part) for embed, part in zip(self.embed, parts, strict=True)]
        masked = torch.stack([part.any(-1) for part in torch.split(hidden, self.sizes, -1)], -1)
        tokens = torch.where(masked[..., None], self.mask_embedding, torch.stack(visible, -2))
        return tokens + self.positions

    def forward(self, motion: Tensor, mask: Tensor) -> Tensor:
        tokens = self.tokens(motion, mask)
        frames = tokens.flatten(0, 1)
        cls = self.cls.expand(frames.shape[0], 1, -1)
        summary = self.summarise(self.layers(torch.cat((cls, frames), 1)), output_slice=slice(1))
        return summary.view(*tokens.shape[:2], -1)
