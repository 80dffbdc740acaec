"""Distributed training context: rank, batch sharding and collectives.

Each process draws the whole batch from the same seed and keeps its shard, so that batches equal
those of a single process. Gradients are averaged by DistributedDataParallel. The processes are
started by `training.loop.launcher` or `training.loop.ray_launcher`.
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
    """Process `rank` of `size`; the main process, rank 0, alone prints and writes."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """True for the process that prints and writes."""
        return self.rank == 0

    def shard(self, batch: Any) -> Any:
        """Rows of a batch that belong to this process, on its device.

        batch: a tensor `[B, ...]`, or a nested (named) tuple of such. ConfigError unless `size`
        divides B.
        """
        if isinstance(batch, tuple):
            shards = [self.shard(each) for each in batch]
            return type(batch)(*shards) if hasattr(batch, "_fields") else tuple(shards)
        rows = len(batch)
        if rows % self.size:
            raise ConfigError(
                f"expected a batch that {self.size} processes can share, got {rows} windows: use "
                f"{rows // self.size * self.size or self.size} or another number of processes"
            )
        own = rows // self.size
        return batch[self.rank * own : (self.rank + 1) * own].to(self.device, non_blocking=True)

    def gather(self, rows: Tensor) -> Tensor:
        """Gather the rows `[b, ...]` of all processes to `[B, ...]`, detached."""
        rows = rows.detach()
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    def mean(self, numbers: Tensor) -> Tensor:
        """Average over all processes, in place and detached."""
        if self.size > 1:
            dist.all_reduce(numbers)
            numbers /= self.size
        return numbers

    def any(self, here: bool) -> bool:
        """True if `here` is true in any process; a collective call."""
        if self.size == 1:
            return here
        flag = torch.tensor(float(here), device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block in the main process first, so that the others find its files."""
        if self.size > 1 and not self.is_main:
            dist.barrier()
        yield
        if self.size > 1 and self.is_main:
            dist.barrier()

    def wrap(self, objective: nn.Module, *, partial: bool) -> nn.Module:
        """Wrap `objective` so that gradients are averaged over all processes.

        partial: some parameters may get no gradient in a step; the search for them takes time.
        """
        if self.size == 1:
            return objective
        return nn.parallel.DistributedDataParallel(objective, find_unused_parameters=partial)


def choose_device(name: str, rank: int = 0) -> torch.device:
    """Device by name: `cpu`, `cuda`, or `auto` for a GPU if available; one GPU per process."""
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
