"""The finite scalar quantiser: each of a few channels is rounded to one of a few levels.

Mentzer et al. 2023. There is no codebook to learn and none that could go unused. Differs from the
paper in that an even number of levels lies evenly about zero, too. Knows nothing of motion.
"""

import math

import torch
from torch import Tensor, nn

from engine.model.quantizers.vector import Quantized, local_mean


class ScalarQuantizer(nn.Module):
    """Channels of `levels` values each; one code for all of them, a number in mixed radix.

    inward: latents of width D to the channels, outward: back again; the identity where D is the
    number of channels.
    """

    counts: Tensor
    places: Tensor

    def __init__(
        self, levels: tuple[int, ...], code_dim: int, inward: nn.Module, outward: nn.Module
    ) -> None:
        super().__init__()
        self._levels = levels
        self._code_dim = code_dim
        self.inward = inward
        self.outward = outward
        places = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("counts", torch.tensor(levels), persistent=False)
        self.register_buffer("places", torch.tensor(places), persistent=False)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes there are: the product of the levels."""
        return (math.prod(self._levels),)

    @property
    def code_dim(self) -> int:
        """Width D of latents and vectors."""
        return self._code_dim

    def _bounded(self, latents: Tensor) -> Tensor:
        """Latents `[..., D]` as places `[..., N]` between 0 and the last level of each channel."""
        return (torch.tanh(self.inward(latents)) + 1.0) * (self.counts - 1) / 2.0

    def _vectors(self, places: Tensor) -> Tensor:
        """Vectors `[..., D]` of places `[..., N]`, which are spread over -1..1 first."""
        vectors: Tensor = self.outward(places * (2.0 / (self.counts - 1)) - 1.0)
        return vectors

    def _codes(self, places: Tensor) -> Tensor:
        return (places.round().long() * self.places).sum(-1)

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes `[...]` of latents `[..., D]`."""
        return self._codes(self._bounded(latents))

    def complete(self, classes: Tensor, latents: Tensor) -> Tensor:
        """`classes` themselves: they name all levels."""
        return classes

    def around(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """See `Quantizer`; a step is one level of one channel."""
        every = self._places(torch.arange(self.sizes[0], device=classes.device))
        return self._codes(local_mean(every, classes, scores, radius))

    def _places(self, codes: Tensor) -> Tensor:
        places = torch.div(codes[..., None], self.places, rounding_mode="floor") % self.counts
        return places.float()

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors `[..., D]` of codes `[...]`."""
        return self._vectors(self._places(codes))

    def forward(self, latents: Tensor) -> Quantized:
        """Quantise latents `[B, T, D]`. Gradients pass the rounding; there is no loss to add."""
        places = self._bounded(latents)
        rounded = places + (places.round() - places).detach()
        return Quantized(self._codes(places), self._vectors(rounded), latents.new_zeros(()))
