"""Training of the quantisers, and statistics of code usage.

Codebooks are trained by moving averages with restarts (`training.vq.codebook`), or by gradients as
in the paper (eq. 4); the finite scalar quantiser has none.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.config.model import QuantizerKind
from engine.model.quantizers.residual import ResidualQuantizer
from engine.model.quantizers.vector import Quantizer, VectorQuantizer
from training.vq.codebook import CodebookTrainer, code_usage


class QuantizerTrainer(nn.Module):
    """Trains the codebooks of `quantizer`, each on the residual of the previous ones.

    PLAIN: the codebook is initialised by k-means and then trained by `terms` only.
    """

    def __init__(self, quantizer: Quantizer, kind: QuantizerKind) -> None:
        super().__init__()
        self._quantizer = quantizer
        self._books = codebooks(quantizer)
        self._averages = kind is not QuantizerKind.PLAIN
        self.trainers = nn.ModuleList(CodebookTrainer(book) for book in self._books)
        for book in self._books:
            book.embedding.weight.requires_grad_(not self._averages)

    @property
    def needs_no_start(self) -> bool:
        """True if there is no codebook to initialise from latents."""
        return not self._books

    @torch.no_grad()
    def start(self, latents: Tensor, draws: torch.Generator) -> None:
        """Initialise all codebooks by k-means of latents `[N, D]`."""
        left = latents
        for trainer, book in zip(self.trainers, self._books, strict=True):
            cast(CodebookTrainer, trainer).start(left, draws)
            left = left - book.lookup(book.nearest(left))

    @torch.no_grad()
    def step(self, latents: Tensor, draws: torch.Generator, *, restart: bool = True) -> int:
        """Update from latents `[N, D]` of one batch; returns the number of restarted codes."""
        restarted, left = 0, latents
        for trainer, book in zip(self.trainers, self._books, strict=True):
            vectors = book.lookup(book.nearest(left))
            if self._averages:
                restarted += cast(CodebookTrainer, trainer).step(left, draws, restart=restart)
            left = left - vectors
        return restarted

    def terms(self, latents: Tensor, codes: Tensor, commitment: float) -> dict[str, Tensor]:
        """Loss terms (eq. 4) of latents `[B, T, D]`: commitment, and codebook for PLAIN."""
        if not self._books:
            return {}
        vectors = self._quantizer.lookup(codes)
        terms = {"commitment": commitment * (latents - vectors.detach()).square().mean()}
        if not self._averages:
            terms["codebook"] = (vectors - latents.detach()).square().mean()
        return terms


def codebooks(quantizer: Any) -> list[VectorQuantizer]:
    """Codebooks of a quantiser; none for finite scalar quantisation."""
    if isinstance(quantizer, ResidualQuantizer):
        return list(quantizer.books)
    return [quantizer] if isinstance(quantizer, VectorQuantizer) else []


@dataclass(frozen=True)
class CodeUse:
    """Usage of a codebook.

    Attributes:
        used: share of entries that occur.
        perplexity: effective number of entries.

    """

    used: float
    perplexity: float

    def __str__(self) -> str:
        return f"{100 * self.used:.0f} % (perplexity {self.perplexity:.0f})"


def perplexity(codes: Tensor) -> float:
    """Effective number of codes: e to the entropy of codes `[N]`."""
    shares = torch.unique(codes, return_counts=True)[1] / len(codes)
    return float(torch.exp(-(shares * shares.log()).sum()))


def code_use(codes: Tensor, sizes: tuple[int, ...]) -> tuple[CodeUse, ...]:
    """Usage of each codebook, of `sizes`, by codes `[N]`."""
    uses = []
    for size in sizes:
        entries, codes = codes % size, codes // size
        uses.append(CodeUse(code_usage(entries, size), perplexity(entries)))
    return tuple(uses)
