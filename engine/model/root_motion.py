"""GlobalMotion: translation from the motion of the lower body (EMAGE section 4.4).

The same convolutions as a part's VQ-VAE without the codebook. Which of its channels are velocities
and which a height, and how they are integrated, is the decoder's knowledge, not this file's.
"""

from torch import Tensor, nn

from engine.model.conv import context
from engine.motion.channels import LOCAL_MOTION
from engine.motion.rotation import Array, to_sixd


def local_motion(rotations: Array, contacts: Array) -> Array:
    """The paper's input, `[..., 334]`, of rotations `[..., 55, 4]` and foot contacts `[..., 4]`.

    Section 4.4 gives the predictor the lower body alone, 54 + 4 channels; supplement D counts 334,
    which are the 6D rotations of all 55 joints and the contacts. This is the latter.
    """
    sixd = to_sixd(rotations)
    joined = sixd.reshape(*sixd.shape[:-2], -1)
    return LOCAL_MOTION.pack({"rot6d": joined, "contact": contacts})


class GlobalMotion(nn.Module):
    """`[B, T, channels] -> [B, T, out]`."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        before, after = zip(context(encoder), context(decoder), strict=True)
        self._context = (sum(before), sum(after))
        self._decoded_from = context(decoder)[0]

    @property
    def left_context(self) -> int:
        """Earlier frames that an output frame depends on."""
        return self._context[0]

    @property
    def right_context(self) -> int:
        """Later frames that an output frame depends on; 0 if causal."""
        return self._context[1]

    def forward(self, lower: Tensor, newest: int | None = None) -> Tensor:
        """Global motion `[B, T, out]` of vectors `[B, T, channels]`: of the lower body, or of
        `local_motion`; newest: of the newest frames alone, the same as among all.
        """
        encoded = None if newest is None else newest + self._decoded_from
        hidden = self.encoder(lower.transpose(1, 2), encoded)
        return self.decoder(hidden, newest).transpose(1, 2)
