"""Root motion (EMAGE's global motion) from the motion of the lower body (EMAGE section 4.4).

The convolutions are those of a part's VQ-VAE, without a codebook. `engine.generate.decoder`
integrates the output.
"""

from torch import Tensor, nn

from engine.model.conv import context
from engine.motion.channels import LOCAL_MOTION
from engine.motion.rotation import Array, to_sixd


def local_motion(rotations: Array, contacts: Array) -> Array:
    """The paper's input `[..., 334]` from rotations `[..., 55, 4]` and foot contacts `[..., 4]`.

    Section 4.4 describes an input of the lower body, 54 + 4 channels; supplement D counts 334, the
    6D rotations of all 55 joints and the contacts. This is the latter.
    """
    sixd = to_sixd(rotations)
    joined = sixd.reshape(*sixd.shape[:-2], -1)
    return LOCAL_MOTION.pack({"rot6d": joined, "contact": contacts})


class RootModel(nn.Module):
    """Convolutional network, `[B, T, channels] -> [B, T, out]`.

    left_context, right_context: numbers of earlier and later frames that an output frame depends
    on; right_context is 0 for a causal network.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.left_context, self.right_context = context(self)
        self._decoder_context = context(decoder)[0]

    def forward(self, lower: Tensor, newest: int | None = None) -> Tensor:
        """Root motion `[B, T, out]` of vectors `[B, T, channels]`.

        lower: the lower body's vectors, or `local_motion`. newest: number of newest frames in the
        output, with the same values; None for all.
        """
        encoded = None if newest is None else newest + self._decoder_context
        hidden = self.encoder(lower.transpose(1, 2), encoded)
        return self.decoder(hidden, newest).transpose(1, 2)
