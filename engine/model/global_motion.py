"""GlobalMotion: translation from the motion of the lower body (EMAGE section 4.3, last paragraph).

The same convolutions as a part's VQ-VAE without the codebook. Which of its channels are velocities
and which a height, and how they are integrated, is the decoder's knowledge, not this file's.
"""

from torch import Tensor, nn

from engine.model.conv import context


class GlobalMotion(nn.Module):
    """`[B, T, channels] -> [B, T, out]`."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        before, after = zip(context(encoder), context(decoder), strict=True)
        self._context = (sum(before), sum(after))

    @property
    def left_context(self) -> int:
        """Earlier frames that an output frame depends on."""
        return self._context[0]

    @property
    def right_context(self) -> int:
        """Later frames that an output frame depends on; 0 if causal."""
        return self._context[1]

    def forward(self, lower: Tensor) -> Tensor:
        """Global motion `[B, T, out]` of lower-body vectors `[B, T, channels]`."""
        return self.decoder(self.encoder(lower.transpose(1, 2))).transpose(1, 2)
