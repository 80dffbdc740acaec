"""PartVae: the VQ-VAE of one body part (EMAGE section 4.1). One class for all four parts.

Takes and gives the part's vectors as `engine.motion.channels.part_layout` orders them; what they
mean and how they are normalised it does not know.
"""

import math
from typing import NamedTuple

from torch import Tensor, nn

from engine.model.conv import context
from engine.model.quantizers.vector import Quantized, Quantizer


class Reconstruction(NamedTuple):
    """motion `[B, T, C]` as decoded from the quantised latents."""

    motion: Tensor
    quantized: Quantized


class PartVae(nn.Module):
    """Convolutional encoder, codebook, convolutional decoder; one code a frame.

    encoder: `[B, C, T] -> [B, width, T]`, then to_code to the codebook's width; from_code and
    decoder are the way back.
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
        self._context = context(decoder)

    @property
    def left_context(self) -> int:
        """Earlier codes that a decoded frame depends on."""
        return self._context[0]

    @property
    def right_context(self) -> int:
        """Later codes that a decoded frame depends on; 0 for a causal decoder."""
        return self._context[1]

    @property
    def codes(self) -> int:
        """How many different codes there are: the product of the codebooks' sizes."""
        return math.prod(self.quantizer.sizes)

    @property
    def classes(self) -> int:
        """Entries of the first codebook, V: what class scores are for."""
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

    def complete(self, classes: Tensor, latents: Tensor) -> Tensor:
        """Codes `[B, T]` of classes `[B, T]`; what they leave open is chosen by latents."""
        return self.quantizer.complete(classes, latents)

    def around(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """Classes `[B, T]` in the midst of the likely ones near to `classes`; see `Quantizer`."""
        return self.quantizer.around(classes, scores, radius)

    def decode(self, vectors: Tensor, newest: int | None = None) -> Tensor:
        """Motion `[B, T, C]` of code vectors `[B, T, D]`, or of the newest frames alone."""
        return self.decoder(self.from_code(vectors).transpose(1, 2), newest).transpose(1, 2)

    def decode_codes(self, codes: Tensor, newest: int | None = None) -> Tensor:
        """Motion `[B, T, C]` of codes `[B, T]` int64.

        newest: give the newest frames alone, the same as among all; T where there are fewer.
        """
        seen = codes if newest is None else codes[:, -newest - self.left_context :]
        return self.decode(self.quantizer.lookup(seen), newest)

    def forward(self, x: Tensor) -> Reconstruction:
        """Encode, quantise and decode motion `[B, T, C]`."""
        quantized = self.quantize(self.encode(x))
        return Reconstruction(self.decode(quantized.vectors), quantized)
