"""Several processes of this machine that train together. Knows stages by name only."""

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

PATIENCE = timedelta(hours=12)
"""How long members wait for each other: one may prepare data while the others do nothing. A member
that ended is noticed at once."""


class Work(NamedTuple):
    """A stage and what its `run` is given. module: whose `run` it is."""

    module: str
    config: dict[str, Any]
    data: Path
    out: Path

    @property
    def device(self) -> str:
        """The device that the configuration asks for."""
        return str(self.config.get("loop", {}).get("device", "auto"))

    def run(self, team: Distributed) -> None:
        """Do it as a member of a team."""
        importlib.import_module(self.module).run(self.config, self.data, self.out, team)


def alone(work: Work) -> None:
    """Train in this process."""
    work.run(Distributed(device=choose_device(work.device)))


def together(work: Work, processes: int) -> None:
    """Train in so many processes; GestureError when one of them fails."""
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder)
        try:
            spawn(_member, (processes, meeting, work), nprocs=processes)
        except (ProcessExitedException, ProcessRaisedException) as error:
            raise GestureError(_reason(meeting, error)) from error


def _reason(meeting: Path, error: Exception) -> str:
    """What a member said before it ended; else how it ended."""
    said = sorted(meeting.glob("error_*"))
    if said:
        return said[0].read_text()
    return f"{error}\nGive the same command again to go on from the last checkpoint"


def speak_for_all(run: Callable[[Distributed], None], team: Distributed) -> None:
    """Run as a member of a team, of which the leader alone prints."""
    with contextlib.ExitStack() as stack:
        if not team.leads:
            nowhere = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        run(team)


def _member(rank: int, size: int, meeting: Path, work: Work) -> None:
    """One of the processes: meet the others, run the stage, say what went wrong."""
    try:
        device = choose_device(work.device, rank)
        backend = "nccl" if device.type == "cuda" else "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
        where = f"file://{meeting / 'meeting'}"
        dist.init_process_group(
            backend, init_method=where, rank=rank, world_size=size, timeout=PATIENCE
        )
        speak_for_all(work.run, Distributed(rank, size, device))
    except GestureError as error:
        (meeting / f"error_{rank:04d}").write_text(str(error))
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
