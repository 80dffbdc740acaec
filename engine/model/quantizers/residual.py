"""Residual quantiser: each codebook quantises the residual of the previous ones.

SoundStream (Zeghidour et al. 2021), algorithm 1.
"""

import math

import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.model.quantizers.vector import Quantized, VectorQuantizer, straight_through

_MAX_CODES = 2**62  # a code is an int64


class ResidualQuantizer(nn.Module):
    """Codebooks in sequence; the code of a frame combines their entries into one number.

    Code = c[0] + V[0] * (c[1] + V[1] * (c[2] + ...)). Raises ConfigError if it exceeds 62 bits.

    books: the stages as a tuple.
    """

    def __init__(self, stages: list[VectorQuantizer]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.books = tuple(stages)
        self._sizes = tuple(size for stage in stages for size in stage.sizes)
        if math.prod(self._sizes) > _MAX_CODES:
            raise ConfigError(
                f"codebooks of {self._sizes} vectors make codes of more than 62 bits; "
                "use fewer or smaller ones"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Size of each codebook."""
        return self._sizes

    @property
    def code_dim(self) -> int:
        """Width D of a vector."""
        return self.books[0].code_dim

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes `[...]` of latents `[..., D]`, stage by stage (not the jointly nearest sum)."""
        return self.codes_from_classes(self.books[0].nearest(latents), latents)

    def codes_from_classes(self, classes: Tensor, latents: Tensor) -> Tensor:
        """Codes `[...]` with the entries `classes [...]` in the first codebook.

        The other codebooks quantise the residual of latents `[..., D]`. If classes and latents
        disagree, they move the result towards the latents as far as their small vectors reach.
        """
        entries, residual = [classes], latents
        for previous, book in zip(self.books, self.books[1:], strict=False):
            residual = residual - previous.lookup(entries[-1])
            entries.append(book.nearest(residual))
        return self.join(entries)

    def mean_shift(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """See `Quantizer`; applies to the first codebook."""
        return self.books[0].mean_shift(classes, scores, radius)

    def join(self, entries: list[Tensor]) -> Tensor:
        """Combine the entries of all stages, each `[...]`, to codes `[...]`."""
        code = torch.zeros_like(entries[0])
        for entry, size in zip(reversed(entries), reversed(self._sizes), strict=True):
            code = code * size + entry
        return code

    def split(self, codes: Tensor) -> list[Tensor]:
        """Split codes `[...]` into the entries of all stages, each `[...]`."""
        entries = []
        for size in self._sizes:
            entries.append(codes % size)
            codes = codes // size
        return entries

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors `[..., D]` of codes `[...]`: sums over the stages."""
        pairs = zip(self.books, self.split(codes), strict=True)
        return torch.stack([book.lookup(entry) for book, entry in pairs]).sum(0)

    def forward(self, latents: Tensor) -> Quantized:
        """Quantise latents `[B, T, D]`; the loss is the mean of the stages' losses."""
        entries, losses, residual = [], [], latents
        for book in self.books:
            step = book(residual)
            entries.append(step.codes)
            losses.append(step.loss)
            residual = residual - book.lookup(step.codes).detach()
        codes = self.join(entries)
        vectors = straight_through(latents, self.lookup(codes))
        return Quantized(codes, vectors, torch.stack(losses).mean())
