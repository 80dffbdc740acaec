"""How each kind of quantiser learns, and how much of its codebooks is used.

A codebook learns by moving averages with restarts (`training.vq.codebook`), or by
gradients as in the paper (eq. 4); the scalar quantiser has none. Knows nothing of motion.
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
    """Learns the codebooks of `quantizer`, each from what those before it left over.

    PLAIN: the codebook is set upon the first latents and then learns by `terms` alone.
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
    def rounds_at_once(self) -> bool:
        """Whether there is no codebook that would have to wait for latents to be set upon."""
        return not self._books

    @torch.no_grad()
    def start(self, latents: Tensor, draws: torch.Generator) -> None:
        """Set all codebooks upon latents `[N, D]`, by k-means."""
        left = latents
        for trainer, book in zip(self.trainers, self._books, strict=True):
            cast(CodebookTrainer, trainer).start(left, draws)
            left = left - book.lookup(book.nearest(left))

    @torch.no_grad()
    def step(self, latents: Tensor, draws: torch.Generator, *, restart: bool = True) -> int:
        """Learn from latents `[N, D]` of one batch; gives the number of restarted codes."""
        restarted, left = 0, latents
        for trainer, book in zip(self.trainers, self._books, strict=True):
            vectors = book.lookup(book.nearest(left))
            if self._averages:
                restarted += cast(CodebookTrainer, trainer).step(left, draws, restart=restart)
            left = left - vectors
        return restarted

    def terms(self, latents: Tensor, codes: Tensor, commitment: float) -> dict[str, Tensor]:
        """What is to be made smaller (eq. 4): latents `[B, T, D]` near the vectors of their codes,
        and, where gradients teach it, the codebook near the latents.
        """
        if not self._books:
            return {}
        vectors = self._quantizer.lookup(codes)
        terms = {"commitment": commitment * (latents - vectors.detach()).square().mean()}
        if not self._averages:
            terms["codebook"] = (vectors - latents.detach()).square().mean()
        return terms


def codebooks(quantizer: Any) -> list[VectorQuantizer]:
    """The codebooks of any quantiser; none for one that rounds to fixed levels."""
    if isinstance(quantizer, ResidualQuantizer):
        return list(quantizer.books)
    return [quantizer] if isinstance(quantizer, VectorQuantizer) else []


@dataclass(frozen=True)
class CodeUse:
    """used: share of a codebook's entries that occur. perplexity: how many entries it would be if
    all that occur did so alike.
    """

    used: float
    perplexity: float

    def __str__(self) -> str:
        return f"{100 * self.used:.0f} % (perplexity {self.perplexity:.0f})"


def perplexity(codes: Tensor) -> float:
    """How many codes it would be if all were used alike: e to the entropy of codes `[N]`."""
    shares = torch.unique(codes, return_counts=True)[1] / len(codes)
    return float(torch.exp(-(shares * shares.log()).sum()))


def code_use(codes: Tensor, sizes: tuple[int, ...]) -> tuple[CodeUse, ...]:
    """How codes `[N]` use each of the codebooks, of which there are `sizes`."""
    uses = []
    for size in sizes:
        entries, codes = codes % size, codes // size
        uses.append(CodeUse(code_usage(entries, size), perplexity(entries)))
    return tuple(uses)
