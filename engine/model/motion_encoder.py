"""Masked motion encoders: a partly visible gesture becomes one vector a frame.

Every encoder maps (motion `[B, T, C]`, mask `[B, T, C]`) to `[B, T, D]`, so that another one (the
paper's attention over the joints of a frame, eq. 6) takes this one's place in the gesture model.
"""

import torch
from torch import Tensor, nn


class MaskedMotionEncoder(nn.Module):
    """Hidden channels become a learned vector, then convolutions over time.

    encoder: `[B, C or 2C, T] -> [B, D, T]`. show_mask: append the mask to the channels, so that a
    hidden channel is not mistaken for a visible one that happens to have the learned value.
    """

    def __init__(self, channels: int, encoder: nn.Module, *, show_mask: bool = False) -> None:
        super().__init__()
        self.mask_embedding = nn.Parameter(torch.zeros(channels))
        nn.init.normal_(self.mask_embedding, std=channels**-0.5)
        self.encoder = encoder
        self.show_mask = show_mask

    def forward(self, motion: Tensor, mask: Tensor) -> Tensor:
        # A choice, not a sum: what lies under the mask may be anything, even NaN.
        x = torch.where(mask > 0.5, self.mask_embedding, motion)
        if self.show_mask:
            x = torch.cat((x, mask), -1)
        return self.encoder(x.transpose(1, 2)).transpose(1, 2)
