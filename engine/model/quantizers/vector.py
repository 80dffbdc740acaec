"""The vector quantiser: each latent becomes the nearest vector of a codebook (EMAGE eq. 3, 4).

Knows nothing of motion. Does not restart unused codes: that is the trainer's business. What every
quantiser has in common stands here too.
"""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Quantized(NamedTuple):
    """codes `[B, T]` int64, vectors `[B, T, D]`, loss scalar (eq. 4, last two terms).

    Gradients pass from `vectors` to the latents as if nothing had been rounded.
    """

    codes: Tensor
    vectors: Tensor
    loss: Tensor


class Quantizer(Protocol):
    """From latents to codes and back; a frame's code is one number, whatever it is made of."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each of its codebooks; a code is one of their product."""

    @property
    def code_dim(self) -> int:
        """Width D of latents and vectors."""

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes `[...]` int64 of latents `[..., D]`."""

    def complete(self, classes: Tensor, latents: Tensor) -> Tensor:
        """Codes `[...]` whose entry in the first codebook is `classes [...]`.

        Further codebooks, where there are any, are chosen by latents `[..., D]`.
        """

    def around(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """Classes `[...]` nearest to the mean of those near to `classes`, by scores `[..., V]`.

        radius: what counts as near, in steps from an entry to the next one.
        """

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors `[..., D]` of codes `[...]`."""

    def __call__(self, latents: Tensor) -> Quantized:
        """Quantise latents `[B, T, D]`."""


def straight_through(latents: Tensor, vectors: Tensor) -> Tensor:
    """`vectors`, through which gradients reach `latents` unchanged (where they are wanted)."""
    return latents + (vectors - latents).detach() if latents.requires_grad else vectors


def local_mean(table: Tensor, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
    """The mean `[..., N]` of the entries of `table [V, N]` near to those that classes `[...]` name.

    Weighed by scores `[..., V]` (logarithms) and a Gaussian of `radius` about the named entry: one
    step of a mean shift. It stays with the choice that was made, and is rid of the chance in which
    of many almost equal entries was drawn.
    """
    # The square of the centre is the same for all entries and cannot change the weights.
    distance = table.square().sum(1) - 2.0 * (table[classes] @ table.t())
    weights = (scores - distance / (2.0 * radius * radius)).softmax(-1)
    return weights @ table


class VectorQuantizer(nn.Module):
    """A codebook of `codes` vectors of width `code_dim`."""

    def __init__(self, codes: int, code_dim: int, *, commitment: float = 1.0) -> None:
        super().__init__()
        self.commitment = commitment
        self.embedding = nn.Embedding(codes, code_dim)
        nn.init.uniform_(self.embedding.weight, -1.0 / codes, 1.0 / codes)
        self._measured: tuple[int, float] | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The codebook's number of vectors."""
        return (self.embedding.num_embeddings,)

    @property
    def code_dim(self) -> int:
        """Width D of a vector."""
        return self.embedding.embedding_dim

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes `[B, T]` of the vectors nearest to `latents [B, T, D]` by squared distance."""
        book = self.embedding.weight
        # |z|^2 is the same for every code and cannot change which is nearest.
        distance = book.square().sum(1) - 2.0 * (latents @ book.t())
        return distance.argmin(-1)

    def complete(self, classes: Tensor, latents: Tensor) -> Tensor:
        """`classes` themselves: there is one codebook only."""
        return classes

    def around(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """See `Quantizer`; a step is the mean distance from a vector to the one next to it."""
        book, near = self.embedding.weight.detach(), max(radius * self._step(), 1e-6)
        return self.nearest(local_mean(book, classes, scores, near))

    def _step(self) -> float:
        """Measured again when vectors have changed: it takes longer than all else of a choice."""
        book = self.embedding.weight.detach()
        if self._measured is None or self._measured[0] != book._version:
            apart = torch.cdist(book, book).fill_diagonal_(torch.inf)
            self._measured = book._version, float(apart.amin(1).mean())
        return self._measured[1]

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors `[B, T, D]` of `codes [B, T]`."""
        return self.embedding(codes)

    def forward(self, latents: Tensor) -> Quantized:
        """Quantise latents `[B, T, D]`."""
        codes = self.nearest(latents)
        vectors = self.lookup(codes)
        loss = F.mse_loss(vectors, latents.detach()) + self.commitment * F.mse_loss(
            latents, vectors.detach()
        )
        return Quantized(codes, straight_through(latents, vectors), loss)
