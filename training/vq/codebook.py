"""EMA training of a codebook with restarts of unused codes.

Van den Oord et al. 2017, appendix A.1; restarts as in Dhariwal et al. 2020 (Jukebox).
"""

import torch
from torch import Tensor, nn

from engine.model.quantizers.vector import VectorQuantizer


class CodebookTrainer(nn.Module):
    """Moves each vector of `quantizer` to the mean of the latents assigned to it.

    decay: of the moving averages, per step. restart_below: average number of assigned latents per
    step below which a code is set to a random latent of the batch.
    """

    def __init__(
        self, quantizer: VectorQuantizer, *, decay: float = 0.98, restart_below: float = 0.3
    ) -> None:
        super().__init__()
        self._quantizer = quantizer
        self._decay = decay
        self._restart_below = restart_below
        quantizer.embedding.weight.requires_grad_(False)
        book = quantizer.embedding.weight
        # Buffers, so that checkpoints contain them.
        self.counts: Tensor
        self.sums: Tensor
        self.register_buffer("counts", torch.ones(len(book)))
        self.register_buffer("sums", book.detach().clone())

    @torch.no_grad()
    def start(self, latents: Tensor, generator: torch.Generator, rounds: int = 10) -> None:
        """Initialise the codebook by k-means of latents `[N, D]`."""
        book = self._quantizer.embedding.weight
        chosen = torch.randperm(len(latents), generator=generator)[: len(book)]
        book[: len(chosen)] = latents[chosen]
        for _ in range(rounds):
            counts, sums = self._tally(latents)
            used = counts > 0
            book[used] = sums[used] / counts[used, None]
            self._restart(~used, latents, generator)
        counts, _ = self._tally(latents)
        self.counts.copy_((counts / len(latents) * len(book) * 4.0).clip(1.0))
        self.sums.copy_(book * self.counts[:, None])

    def _tally(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        codes = self._quantizer.nearest(latents)
        size, width = self._quantizer.embedding.weight.shape
        counts = torch.bincount(codes, minlength=size).float()
        sums = latents.new_zeros(size, width).index_add_(0, codes, latents)
        return counts, sums

    def _restart(self, dead: Tensor, latents: Tensor, generator: torch.Generator) -> None:
        count = int(dead.sum())
        if count:
            picked = torch.randint(len(latents), (count,), generator=generator)
            self._quantizer.embedding.weight[dead] = latents[picked]

    @torch.no_grad()
    def step(self, latents: Tensor, generator: torch.Generator, *, restart: bool = True) -> int:
        """Update from latents `[N, D]` of one batch; returns the number of restarted codes."""
        counts, sums = self._tally(latents)
        self.counts.mul_(self._decay).add_(counts, alpha=1 - self._decay)
        self.sums.mul_(self._decay).add_(sums, alpha=1 - self._decay)
        book = self._quantizer.embedding.weight
        book.copy_(self.sums / self.counts.clip(1e-4)[:, None])
        dead = self.counts < self._restart_below
        if restart and bool(dead.any()):
            self._restart(dead, latents, generator)
            self.counts[dead] = 2.0 * self._restart_below + 1.0
            self.sums[dead] = book[dead] * self.counts[dead, None]
            return int(dead.sum())
        return 0


def code_usage(codes: Tensor, size: int) -> float:
    """Share of `size` codes that occur in `codes`."""
    return len(torch.unique(codes)) / size
