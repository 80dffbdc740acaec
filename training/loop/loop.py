"""Training loop: optimizer steps, progress reports, checkpoints.

The random draws of a step depend on the seed and the step number only. A run that is resumed from a
checkpoint takes the same steps as an uninterrupted one, and several processes take those of one.
"""

import math
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engine.config.serialize import require
from engine.errors import ConfigError
from training.loop.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    LossLog,
    load_checkpoint,
    save_checkpoint,
)
from training.loop.distributed import Distributed
from training.loop.lr_schedule import LrSchedule
from training.loop.progress import Progress
from training.loop.tensorboard import Board


class Precision(StrEnum):
    """Number format of activations; weights, losses and files are always float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class LoopSettings:
    """Table [loop] of a stage: settings of the computation that do not change the result.

    Attributes:
        device: device of PyTorch, such as cpu or cuda; auto: a GPU if there is one.
        precision: number format of the forward pass.
        compile: compile by torch.compile; the first steps then take a minute.
        checkpoint_s: seconds between checkpoints; a killed training loses at most this much.
        tensorboard: write curves for TensorBoard.

    """

    device: str = "auto"
    precision: Precision = Precision.FLOAT32
    compile: bool = False
    checkpoint_s: float = 60.0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        require(self.checkpoint_s >= 0.0, "checkpoint_s", "0 seconds or more", self.checkpoint_s)


RUN_KEYS: Final = {
    "rate": "learning_rate",
    "clip_norm": "max_grad_norm",
    "schedule": "lr_schedule",
}
"""Former names of keys that all stages have."""


@dataclass(frozen=True)
class RunConfig:
    """Steps, learning rate and reports of one training run.

    Attributes:
        steps: optimizer steps.
        learning_rate: before the factor of `lr_schedule`.
        seed: of all random draws.
        lr_schedule: factor of the learning rate by step.
        max_grad_norm: gradients are clipped to this norm.
        report_every: steps between reports.
        max_minutes: minutes after which the run stops, to be continued later; None: no limit.

    """

    steps: int
    learning_rate: float
    seed: int
    lr_schedule: LrSchedule
    max_grad_norm: float = 1.0
    report_every: int = 100
    max_minutes: float | None = None


class LossTerms(NamedTuple):
    """Loss of a step: the scalar `total` to minimise, and the scalars `shown` to report."""

    total: Tensor
    shown: dict[str, Tensor]


@dataclass(frozen=True)
class TrainingTask:
    """Training of one network, as the loop runs it.

    Attributes:
        name: printed in the reports.
        config: settings, stored in the checkpoint.
        objective: loss module; maps (batch, step, generator) to LossTerms. Its draws from the
            generator must not depend on the shard.
        optimizer: optimizer of its parameters.
        draw: maps (generator, step) to a whole batch, a tensor or nested tuples of tensors with
            equal numbers of rows.
        export: writes the files that later stages read.
        networks: networks that torch.compile speeds up.
        partial: some parameters may get no gradient in a step.

    """

    name: str
    config: dict[str, Any]
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    draw: Callable[[torch.Generator, int], Any]
    export: Callable[[], None]
    networks: Sequence[nn.Module] = ()
    partial: bool = False


def seed_of(seed: int, step: int, *more: int) -> int:
    """Seed of a step; adjacent steps and seeds give independent draws."""
    return int(np.random.SeedSequence((seed, step, *more)).generate_state(1, np.uint64)[0])


def generator_at(seed: int, step: int) -> torch.Generator:
    """Generator of a step."""
    return torch.Generator().manual_seed(seed_of(seed, step))


def autocast(settings: LoopSettings, device: torch.device) -> AbstractContextManager[None]:
    """Context in which networks compute in the set precision; losses belong outside."""
    lower = settings.precision is Precision.BFLOAT16
    return torch.autocast(device.type, torch.bfloat16, enabled=lower)


def exit_without_parent() -> None:
    """Exit if the parent process was killed.

    Otherwise this process would write to the files of the run that replaces it.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(1)


class Loop:
    """Runs `task` with `config`; checkpoint and losses are written to `folder`."""

    def __init__(
        self,
        task: TrainingTask,
        config: RunConfig,
        settings: LoopSettings,
        distributed: Distributed,
        folder: Path,
    ) -> None:
        self.task, self.config, self.settings = task, config, settings
        self.distributed, self._folder = distributed, folder
        self._parameters = [p for p in task.objective.parameters() if p.requires_grad]
        self.done = 0
        self._spent_s = 0.0
        self._pending: list[tuple[tuple[str, ...], Tensor]] = []
        task.objective.to(distributed.device).train()
        if settings.compile:
            for network in task.networks:
                network.compile()
        self._resume()
        self._objective = distributed.wrap(task.objective, partial=task.partial)

    def step(self) -> None:
        """Take one optimizer step."""
        config, optimizer = self.config, self.task.optimizer
        draws = generator_at(config.seed, self.done)
        batch = self.distributed.shard(self.task.draw(draws, self.done))
        rate = config.learning_rate * config.lr_schedule.factor(self.done, config.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        # Dropout uses PyTorch's global generators and must differ between processes.
        torch.manual_seed(seed_of(config.seed, self.done, self.distributed.rank))
        terms: LossTerms = self._objective(batch, self.done, draws)
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, config.max_grad_norm)
        optimizer.step()
        named = {"loss": terms.total, **terms.shown, "norm": norm}
        values = torch.stack([x.detach().float() for x in named.values()])
        self._pending.append((tuple(named), self.distributed.mean(values)))
        self.done += 1

    def run(self) -> None:
        """Take the remaining steps, then save the checkpoint and export."""
        is_main = self.distributed.is_main
        self._progress = self._open()
        self._started = saved = time.monotonic()
        try:
            while self.done < self.config.steps and not self._out_of_time():
                exit_without_parent()
                self.step()
                if self.done % self.config.report_every == 0 or self.done == self.config.steps:
                    self._fetch_losses()
                    self._progress.show(self.done, self._remaining_s())
                if is_main and time.monotonic() - saved > self.settings.checkpoint_s:
                    self.save()
                    saved = time.monotonic()
            if is_main:
                self.save()
        finally:
            self._progress.close()

    def save(self) -> None:
        """Write the losses, then the checkpoint that follows from them, and export."""
        self._fetch_losses()
        self._progress.flush()
        exit_without_parent()
        task = self.task
        state = Checkpoint(
            self.done, self._seconds(), task.config, task.objective.state_dict(),
            task.optimizer.state_dict(),
        )  # fmt: skip
        save_checkpoint(self._folder, state)
        task.export()

    def _resume(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(self._folder, self.task.config)
        if found is None:
            return
        self.task.objective.load_state_dict(found.objective)
        self.task.optimizer.load_state_dict(dict(found.optimizer))
        self.done, self._spent_s = found.step, found.spent_s
        print(f"{self.task.name}: resuming after step {self.done}", flush=True)

    def _open(self) -> Progress:
        exit_without_parent()  # before it opens the log, which may belong to another run by now
        name, steps = self.task.name, self.config.steps
        if not self.distributed.is_main:
            return Progress(name, steps, self.done)
        board = Board(self._folder, self.done) if self.settings.tensorboard else None
        return Progress(name, steps, self.done, LossLog(self._folder, self.done), board)

    def _seconds(self) -> float:
        return self._spent_s + time.monotonic() - self._started

    def _remaining_s(self) -> float:
        minutes = self.config.max_minutes
        return math.inf if minutes is None else 60.0 * minutes - self._seconds()

    def _out_of_time(self) -> bool:
        return self.config.max_minutes is not None and self.distributed.any(
            self._remaining_s() < 0.0
        )

    def _fetch_losses(self) -> None:
        """Fetch the losses since the last call; fetching at each step would stall a GPU."""
        first = self.done - len(self._pending)
        rows = [dict(zip(names, values.tolist(), strict=True)) for names, values in self._pending]
        self._pending.clear()
        for step, row in enumerate(rows, first):
            if not (math.isfinite(row["loss"]) and math.isfinite(row["norm"])):
                raise ConfigError(
                    f"{self.task.name}: at step {step} the loss is {row['loss']}, its gradient "
                    f"{row['norm']}: lower learning_rate, or use precision float32. The previous "
                    f"checkpoint is intact: {self._folder / CHECKPOINT}"
                )
            rate = self.config.learning_rate * self.config.lr_schedule.factor(
                step, self.config.steps
            )
            self._progress.add(step, {**row, "rate": rate})
