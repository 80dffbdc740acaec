"""Finite scalar quantiser (Mentzer et al. 2023): rounds each of a few channels to a level.

There is no codebook that must be learned or could go unused. Differs from the paper in that an even
number of levels is symmetric about zero, too.
"""

import math

import torch
from torch import Tensor, nn

from engine.model.quantizers.vector import Quantized, mean_shift


class ScalarQuantizer(nn.Module):
    """Quantiser with `levels` values per channel; a code is a number in mixed radix.

    inward, outward: maps from latents of width D to the channels and back; identities if D is the
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
        """Number of codes: the product of the levels."""
        return (math.prod(self._levels),)

    @property
    def code_dim(self) -> int:
        """Width D of latents and vectors."""
        return self._code_dim

    def _bounded(self, latents: Tensor) -> Tensor:
        """Map latents `[..., D]` to `[..., N]` between 0 and the last level of each channel."""
        return (torch.tanh(self.inward(latents)) + 1.0) * (self.counts - 1) / 2.0

    def _vectors(self, levels: Tensor) -> Tensor:
        """Vectors `[..., D]` of level indices `[..., N]`, which are scaled to -1..1 first."""
        vectors: Tensor = self.outward(levels * (2.0 / (self.counts - 1)) - 1.0)
        return vectors

    def _codes(self, levels: Tensor) -> Tensor:
        return (levels.round().long() * self.places).sum(-1)

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes `[...]` of latents `[..., D]`."""
        return self._codes(self._bounded(latents))

    def codes_from_classes(self, classes: Tensor, latents: Tensor) -> Tensor:
        """Return `classes`: they determine all levels."""
        return classes

    def mean_shift(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """See `Quantizer`; neighbouring entries differ by one level of one channel."""
        table = self._levels_of(torch.arange(self.sizes[0], device=classes.device))
        return self._codes(mean_shift(table, classes, scores, radius))

    def _levels_of(self, codes: Tensor) -> Tensor:
        levels = torch.div(codes[..., None], self.places, rounding_mode="floor") % self.counts
        return levels.float()

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors `[..., D]` of codes `[...]`."""
        return self._vectors(self._levels_of(codes))

    def forward(self, latents: Tensor) -> Quantized:
        """Quantise latents `[B, T, D]`; gradients pass the rounding, and the loss is 0."""
        levels = self._bounded(latents)
        rounded = levels + (levels.round() - levels).detach()
        return Quantized(self._codes(levels), self._vectors(rounded), latents.new_zeros(()))
