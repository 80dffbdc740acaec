"""The VQ-VAE of one body part (EMAGE section 4.1); one class for all four parts.

Motion vectors have the layout `engine.motion.channels.part_layout`.
"""

import math
from typing import NamedTuple

from torch import Tensor, nn

from engine.model.conv import context
from engine.model.quantizers.vector import Quantized, Quantizer


class Reconstruction(NamedTuple):
    """Motion `[B, T, C]` decoded from quantised latents."""

    motion: Tensor
    quantized: Quantized


class PartVae(nn.Module):
    """Convolutional encoder, quantiser and convolutional decoder; one code per frame.

    encoder: `[B, C, T] -> [B, width, T]`. to_code, from_code: linear maps to the width of the codes
    and back. decoder: `[B, width, T] -> [B, C, T]`.

    left_context, right_context: numbers of earlier and later codes that a decoded frame depends on;
    right_context is 0 for a causal decoder.
    """

    def __init__(
        self,
        encoder: nn.Module,
        to_code: nn.Module,
        quantizer: Quantizer,
        from_code: nn.Module,
        decoder: nn.Module,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.to_code = to_code
        self.quantizer = quantizer
        self.from_code = from_code
        self.decoder = decoder
        self.left_context, self.right_context = context(decoder)

    @property
    def codes(self) -> int:
        """Number of different codes: the product of the codebook sizes."""
        return math.prod(self.quantizer.sizes)

    @property
    def classes(self) -> int:
        """Size V of the first codebook, which class scores refer to."""
        return self.quantizer.sizes[0]

    @property
    def code_dim(self) -> int:
        """Width of a code's vector, D."""
        return self.quantizer.code_dim

    def encode(self, x: Tensor) -> Tensor:
        """Latents `[B, T, D]` of motion `[B, T, C]`, before quantising."""
        return self.to_code(self.encoder(x.transpose(1, 2)).transpose(1, 2))

    def quantize(self, latents: Tensor) -> Quantized:
        """Codes, vectors and loss of latents `[B, T, D]`."""
        return self.quantizer(latents)

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes `[B, T]` nearest to latents `[B, T, D]`."""
        return self.quantizer.nearest(latents)

    def codes_from_classes(self, classes: Tensor, latents: Tensor) -> Tensor:
        """Codes `[B, T]` of classes `[B, T]`; latents select the entries of further codebooks."""
        return self.quantizer.codes_from_classes(classes, latents)

    def mean_shift(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """Classes `[B, T]` after one mean-shift step from `classes`; see `Quantizer`."""
        return self.quantizer.mean_shift(classes, scores, radius)

    def decode(self, vectors: Tensor, newest: int | None = None) -> Tensor:
        """Motion `[B, T, C]` of code vectors `[B, T, D]`; newest: of so many newest frames only."""
        return self.decoder(self.from_code(vectors).transpose(1, 2), newest).transpose(1, 2)

    def decode_codes(self, codes: Tensor, newest: int | None = None) -> Tensor:
        """Motion `[B, T, C]` of codes `[B, T]` int64.

        newest: number of newest frames to decode, with the same values; at most T.
        """
        used = codes if newest is None else codes[:, -newest - self.left_context :]
        return self.decode(self.quantizer.lookup(used), newest)

    def forward(self, x: Tensor) -> Reconstruction:
        """Encode, quantise and decode motion `[B, T, C]`."""
        quantized = self.quantize(self.encode(x))
        return Reconstruction(self.decode(quantized.vectors), quantized)
