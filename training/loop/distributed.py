"""The processes that train one network together: who has which rows, and what they agree upon.

Every member draws the whole batch from the same seed and keeps its own rows, so that the batches
are those of a single process; gradients are averaged by PyTorch's DistributedDataParallel. Knows
nothing of what is learned, nor of who started the processes (`training.loop.launcher`,
`training.loop.ray_launcher`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.errors import ConfigError


@dataclass(frozen=True)
class Distributed:
    """Member `rank` of `size`; the one of rank 0 leads: it alone prints and writes."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this member prints and writes."""
        return self.rank == 0

    def share(self, batch: Any) -> Any:
        """The rows of a batch that are this member's, on its device.

        batch: a tensor `[B, ...]`, or a (named) tuple of such. ConfigError where B does not divide.
        """
        if isinstance(batch, tuple):
            shared = [self.share(each) for each in batch]
            return type(batch)(*shared) if hasattr(batch, "_fields") else tuple(shared)
        rows = len(batch)
        if rows % self.size:
            raise ConfigError(
                f"expected a batch that {self.size} processes can share, got {rows} windows: take "
                f"{rows // self.size * self.size or self.size} or another number of processes"
            )
        own = rows // self.size
        return batch[self.rank * own : (self.rank + 1) * own].to(self.device, non_blocking=True)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows `[b, ...]` of all members in the order of the batch, `[B, ...]`; no gradient."""
        rows = rows.detach()
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    def mean(self, numbers: Tensor) -> Tensor:
        """The average over all members; no gradient."""
        if self.size > 1:
            dist.all_reduce(numbers)
            numbers /= self.size
        return numbers

    def any(self, here: bool) -> bool:
        """Whether it is so for any member. All have to ask."""
        if self.size == 1:
            return here
        asked = torch.tensor(float(here), device=self.device)
        dist.all_reduce(asked, dist.ReduceOp.MAX)
        return bool(asked)

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Inside, the leader is done before the others begin: what it stores, they find."""
        if self.size > 1 and not self.leads:
            dist.barrier()
        yield
        if self.size > 1 and self.leads:
            dist.barrier()

    def join(self, objective: nn.Module, *, partial: bool) -> nn.Module:
        """`objective`, with gradients averaged over all members.

        partial: some step may leave a parameter without a gradient; looking for those takes time.
        """
        if self.size == 1:
            return objective
        return nn.parallel.DistributedDataParallel(objective, find_unused_parameters=partial)


def choose_device(name: str, rank: int = 0) -> torch.device:
    """`cpu`, `cuda`, or for `auto` a GPU if there is one; members take the GPUs in turn."""
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device: expected auto, cpu or cuda, got {name!r}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not count):
        return torch.device("cpu")
    if rank >= count:
        raise ConfigError(
            f"expected a GPU for each process, got {count} GPUs for process {rank + 1}: use fewer "
            'processes, or device = "cpu" in [loop]'
        )
    return torch.device("cuda", rank)
