"""Masked motion encoders: a partly visible gesture becomes one vector a frame.

Every encoder maps (motion `[B, T, C]`, mask `[B, T, C]`) to `[B, T, D]`; mask is 1 where a channel
is hidden. What the channels mean it does not know.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.model.layers import EncoderLayer


class MaskedMotionEncoder(nn.Module):
    """Hidden channels become a learned vector, then convolutions over time.

    embed: a linear map of [channels | mask], `[B, T, 2C] -> [B, T, D']`, so that a hidden channel
    is not mistaken for a visible one that happens to have the learned value; None as published:
    the convolutions see the channels alone. convolve: `[B, C or D', T] -> [B, D, T]`.
    """

    def __init__(self, channels: int, embed: nn.Linear | None, convolve: nn.Module) -> None:
        super().__init__()
        self.mask_embedding = nn.Parameter(torch.zeros(channels))
        nn.init.normal_(self.mask_embedding, std=channels**-0.5)
        self.embed = embed
        self.convolve = convolve

    def forward(self, motion: Tensor, mask: Tensor) -> Tensor:
        # A choice, not a sum: what lies under the mask may be anything, even NaN.
        x = torch.where(mask > 0.5, self.mask_embedding, motion)
        if self.embed is not None:
            x = self.embed(torch.cat((x, mask), -1))
        return self.convolve(x.transpose(1, 2)).transpose(1, 2)


class SpatialMotionEncoder(nn.Module):
    """Attention over the tokens of one frame; the CLS token is the frame's feature (SSAT in eq. 6).

    sizes: channels of each token, in their order; a joint's six, for example, are one token. A
    hidden token is the learned mask embedding `[D]`, and a token of which any channel is hidden is
    hidden as a whole: the paper masks joints and frames, and the rest of a rotation is no rotation.
    Each token has its own linear map to D and its own learned position. Frames do not meet here.
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
        # Zeros, not a sum with the mask: what lies under it may be anything, even NaN, whose
        # gradient would be NaN as well.
        pieces = torch.split(motion.masked_fill(hidden, 0.0), self.sizes, -1)
        seen = [embed(piece) for embed, piece in zip(self.embed, pieces, strict=True)]
        lost = torch.stack([piece.any(-1) for piece in torch.split(hidden, self.sizes, -1)], -1)
        tokens = torch.where(lost[..., None], self.mask_embedding, torch.stack(seen, -2))
        return tokens + self.positions

    def forward(self, motion: Tensor, mask: Tensor) -> Tensor:
        tokens = self.tokens(motion, mask)
        frames = tokens.flatten(0, 1)
        cls = self.cls.expand(frames.shape[0], 1, -1)
        summary = self.summarise(self.layers(torch.cat((cls, frames), 1)), wanted=slice(1))
        return summary.view(*tokens.shape[:2], -1)
