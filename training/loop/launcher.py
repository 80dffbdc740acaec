"""Launcher of training processes on one machine."""

import contextlib
import importlib
import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from engine.errors import GestureError
from training.loop.distributed import Distributed, choose_device

TIMEOUT = timedelta(hours=12)
"""Timeout of collectives; long, because the main process may prepare data while the others wait."""


class Work(NamedTuple):
    """A stage to run: its module, and the arguments of the module's `run`."""

    module: str
    config: dict[str, Any]
    data: Path
    out: Path

    @property
    def device(self) -> str:
        """Device of the configuration."""
        return str(self.config.get("loop", {}).get("device", "auto"))

    def run(self, distributed: Distributed) -> None:
        """Run the stage in this process."""
        importlib.import_module(self.module).run(self.config, self.data, self.out, distributed)


def run_single(work: Work) -> None:
    """Train in this process only."""
    work.run(Distributed(device=choose_device(work.device)))


def run_processes(work: Work, processes: int) -> None:
    """Train in `processes` processes; GestureError if one of them fails."""
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = Path(folder)
        try:
            spawn(_process, (processes, rendezvous, work), nprocs=processes)
        except (ProcessExitedException, ProcessRaisedException) as error:
            raise GestureError(_reason(rendezvous, error)) from error


def _reason(rendezvous: Path, error: Exception) -> str:
    """Error that a process reported, or else how it ended."""
    reported = sorted(rendezvous.glob("error_*"))
    if reported:
        return reported[0].read_text()
    return f"{error}\nRun the same command again to resume from the last checkpoint"


def only_main_prints(run: Callable[[Distributed], None], distributed: Distributed) -> None:
    """Call `run`, with standard output suppressed unless this is the main process."""
    with contextlib.ExitStack() as stack:
        if not distributed.is_main:
            null = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(contextlib.redirect_stdout(null))
        run(distributed)


def _process(rank: int, size: int, rendezvous: Path, work: Work) -> None:
    """Body of a process: initialise the process group, run the stage, report errors."""
    try:
        device = choose_device(work.device, rank)
        backend = "nccl" if device.type == "cuda" else "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
        where = f"file://{rendezvous / 'store'}"
        dist.init_process_group(
            backend, init_method=where, rank=rank, world_size=size, timeout=TIMEOUT
        )
        only_main_prints(work.run, Distributed(rank, size, device))
    except GestureError as error:
        (rendezvous / f"error_{rank:04d}").write_text(str(error))
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
