"""Masked motion encoders: a partly visible gesture becomes one vector a frame.

Every encoder maps (motion `[B, T, C]`, mask `[B, T, C]`) to `[B, T, D]`, so that another one (the
paper's attention over the joints of a frame, eq. 6) takes this one's place in the gesture model.
"""

import torch
from torch import Tensor, nn


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
