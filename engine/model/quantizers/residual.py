"""The residual quantiser: each codebook rounds what the ones before it left over.

As in SoundStream (Zeghidour et al. 2021, algorithm 1). Knows nothing of motion.
"""

import math

import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.model.quantizers.vector import Quantized, VectorQuantizer, straight_through

_MOST_CODES = 2**62  # a code is an int64


class ResidualQuantizer(nn.Module):
    """`stages` one after the other; a frame's code is one number that holds the entries of all.

    Code = c[0] + V[0] * (c[1] + V[1] * (c[2] + ...)), so that whoever carries codes about need not
    know how many there are. books: the stages again. Raises ConfigError where that exceeds 62 bits.
    """

    def __init__(self, stages: list[VectorQuantizer]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.books = tuple(stages)
        self._sizes = tuple(size for stage in stages for size in stage.sizes)
        if math.prod(self._sizes) > _MOST_CODES:
            raise ConfigError(
                f"codebooks of {self._sizes} vectors make codes of more than 62 bits; "
                "use fewer or smaller ones"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Vectors of each codebook."""
        return self._sizes

    @property
    def code_dim(self) -> int:
        """Width D of a vector."""
        return self.books[0].code_dim

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes `[...]` of latents `[..., D]`, stage by stage (not the best sum of all)."""
        return self.complete(self.books[0].nearest(latents), latents)

    def complete(self, classes: Tensor, latents: Tensor) -> Tensor:
        """Codes `[...]` that begin with the entries `classes [...]` of the first codebook.

        The others round what is then left of latents `[..., D]`. Where classes and latents
        disagree, they lead back towards the latents as far as their small vectors reach.
        """
        entries, left = [classes], latents
        for before, book in zip(self.books, self.books[1:], strict=False):
            left = left - before.lookup(entries[-1])
            entries.append(book.nearest(left))
        return self.join(entries)

    def around(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """See `Quantizer`: of the first codebook, whose entries classes are."""
        return self.books[0].around(classes, scores, radius)

    def join(self, entries: list[Tensor]) -> Tensor:
        """Codes `[...]` of the stages' entries, each `[...]`."""
        code = torch.zeros_like(entries[0])
        for entry, size in zip(reversed(entries), reversed(self._sizes), strict=True):
            code = code * size + entry
        return code

    def split(self, codes: Tensor) -> list[Tensor]:
        """The stages' entries, each `[...]`, of codes `[...]`."""
        entries = []
        for size in self._sizes:
            entries.append(codes % size)
            codes = codes // size
        return entries

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors `[..., D]` of codes `[...]`: the sums of the stages' own."""
        pairs = zip(self.books, self.split(codes), strict=True)
        return torch.stack([book.lookup(entry) for book, entry in pairs]).sum(0)

    def forward(self, latents: Tensor) -> Quantized:
        """Quantise latents `[B, T, D]`; the loss is the mean of the stages' losses."""
        entries, losses, left = [], [], latents
        for book in self.books:
            step = book(left)
            entries.append(step.codes)
            losses.append(step.loss)
            left = left - book.lookup(step.codes).detach()
        codes = self.join(entries)
        vectors = straight_through(latents, self.lookup(codes))
        return Quantized(codes, vectors, torch.stack(losses).mean())
