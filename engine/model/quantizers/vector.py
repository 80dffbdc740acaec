"""Vector quantiser (EMAGE eq. 3, 4), and the protocol of all quantisers.

Unused codes are restarted by `training.vq.quantizer_training`.
"""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Quantized(NamedTuple):
    """Codes `[B, T]` int64, vectors `[B, T, D]`, and loss, a scalar (eq. 4, last two terms).

    Gradients of `vectors` pass to the latents unchanged (straight-through estimator).
    """

    codes: Tensor
    vectors: Tensor
    loss: Tensor


class Quantizer(Protocol):
    """Conversion of latents to codes and back; a frame's code is one number."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Size of each codebook; their product is the number of codes."""

    @property
    def code_dim(self) -> int:
        """Width D of latents and vectors."""

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes `[...]` int64 of latents `[..., D]`."""

    def codes_from_classes(self, classes: Tensor, latents: Tensor) -> Tensor:
        """Codes `[...]` whose entries in the first codebook are `classes [...]`.

        Entries of further codebooks are those nearest to latents `[..., D]`.
        """

    def mean_shift(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """Classes `[...]` after one mean-shift step from `classes`, weighted by scores `[..., V]`.

        radius: of the mean, in units of the mean distance between neighbouring entries.
        """

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors `[..., D]` of codes `[...]`."""

    def __call__(self, latents: Tensor) -> Quantized:
        """Quantise latents `[B, T, D]`."""


def straight_through(latents: Tensor, vectors: Tensor) -> Tensor:
    """Return `vectors` with the gradient of `latents`, if that requires one."""
    return latents + (vectors - latents).detach() if latents.requires_grad else vectors


def mean_shift(table: Tensor, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
    """One mean-shift step from the entries `classes [...]` of `table [V, N]`: means `[..., N]`.

    Entries are weighted by scores `[..., V]`, log probabilities, and a Gaussian of `radius` around
    the sampled entry. The result stays near the sampled entry but averages over near-duplicate
    entries, which removes sampling jitter.
    """
    # The squared norm of the centre is the same for all entries and cancels in the softmax.
    distance = table.square().sum(1) - 2.0 * (table[classes] @ table.t())
    weights = (scores - distance / (2.0 * radius * radius)).softmax(-1)
    return weights @ table


class VectorQuantizer(nn.Module):
    """Codebook of `codes` vectors of width `code_dim`."""

    def __init__(self, codes: int, code_dim: int, *, commitment: float = 1.0) -> None:
        super().__init__()
        self.commitment = commitment
        self.embedding = nn.Embedding(codes, code_dim)
        nn.init.uniform_(self.embedding.weight, -1.0 / codes, 1.0 / codes)
        self._spacing_cache: tuple[int, float] | None = None  # weight version and spacing

    @property
    def sizes(self) -> tuple[int, ...]:
        """Size of the codebook."""
        return (self.embedding.num_embeddings,)

    @property
    def code_dim(self) -> int:
        """Width D of a vector."""
        return self.embedding.embedding_dim

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes `[B, T]` of the vectors nearest to `latents [B, T, D]` by squared distance."""
        book = self.embedding.weight
        # |z|^2 is the same for every code and does not change the arg-min.
        distance = book.square().sum(1) - 2.0 * (latents @ book.t())
        return distance.argmin(-1)

    def codes_from_classes(self, classes: Tensor, latents: Tensor) -> Tensor:
        """Return `classes`: there is one codebook only."""
        return classes

    def mean_shift(self, classes: Tensor, scores: Tensor, radius: float) -> Tensor:
        """See `Quantizer`."""
        book, width = self.embedding.weight.detach(), max(radius * self._spacing(), 1e-6)
        return self.nearest(mean_shift(book, classes, scores, width))

    def _spacing(self) -> float:
        """Mean distance of a vector to its nearest neighbour.

        Cached until the weights change, because it takes longer than the rest of a selection.
        """
        book = self.embedding.weight.detach()
        if self._spacing_cache is None or self._spacing_cache[0] != book._version:
            distances = torch.cdist(book, book).fill_diagonal_(torch.inf)
            self._spacing_cache = book._version, float(distances.amin(1).mean())
        return self._spacing_cache[1]

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
