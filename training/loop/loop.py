"""The one training loop: batches in, steps of the optimiser, progress, checkpoints, curves.

Whatever a step draws at random is a function of the seed and the number of the step: a training
that was killed and goes on from its checkpoint takes the same steps as one that was not, and two
processes take those of one. Knows nothing of what is learned.
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
    """Of the networks' inner numbers; weights, losses and what is written are always float32."""

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
    """total: the scalar to make smaller; shown: scalars to report, which need no gradient."""

    total: Tensor
    shown: dict[str, Tensor]


@dataclass(frozen=True)
class TrainingTask:
    """What a stage gives the loop.

    config: the settings, for the checkpoint. objective: called as (batch, step, generator), gives
    Terms; what it draws from the generator must not depend on its share of the batch. draw: called
    as (generator, step), gives a whole batch, a tensor or tuples of tensors with the same number of
    rows. export: write what the next stages read. networks: what torch.compile is worth for.
    partial: some step leaves a parameter without a gradient.
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
    """A seed for everything that a step draws; steps and seeds next to each other share nothing."""
    return int(np.random.SeedSequence((seed, step, *more)).generate_state(1, np.uint64)[0])


def generator_at(seed: int, step: int) -> torch.Generator:
    """The generator of a step."""
    return torch.Generator().manual_seed(seed_of(seed, step))


def autocast(settings: LoopSettings, device: torch.device) -> AbstractContextManager[None]:
    """Inside, networks compute in the wanted precision. Leave it before the losses."""
    lower = settings.precision is Precision.BFLOAT16
    return torch.autocast(device.type, torch.bfloat16, enabled=lower)


def stop_without_parent() -> None:
    """End this process if the one that started it was killed.

    Otherwise it would go on writing beside the training that takes its place.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(1)


class Loop:
    """Trains `learner` along `course` and keeps its checkpoint and its losses in `folder`."""

    def __init__(
        self,
        learner: TrainingTask,
        course: RunConfig,
        settings: LoopSettings,
        team: Distributed,
        folder: Path,
    ) -> None:
        self.learner, self.course, self.settings, self.team = learner, course, settings, team
        self._folder = folder
        self._parameters = [p for p in learner.objective.parameters() if p.requires_grad]
        self.done = 0
        self._spent_s = 0.0
        self._pending: list[tuple[tuple[str, ...], Tensor]] = []
        learner.objective.to(team.device).train()
        if settings.compile:
            for network in learner.networks:
                network.compile()
        self._resume()
        self._joined = team.join(learner.objective, partial=learner.partial)

    def step(self) -> None:
        """Learn from one batch."""
        course, optimizer = self.course, self.learner.optimizer
        draws = generator_at(course.seed, self.done)
        batch = self.team.share(self.learner.draw(draws, self.done))
        rate = course.learning_rate * course.lr_schedule.factor(self.done, course.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        # Dropout draws from PyTorch's own generators; members must not drop the same.
        torch.manual_seed(seed_of(course.seed, self.done, self.team.rank))
        terms: LossTerms = self._joined(batch, self.done, draws)
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, course.max_grad_norm)
        optimizer.step()
        named = {"loss": terms.total, **terms.shown, "norm": norm}
        numbers = torch.stack([x.detach().float() for x in named.values()])
        self._pending.append((tuple(named), self.team.mean(numbers)))
        self.done += 1

    def run(self) -> None:
        """All steps that are left, then a last checkpoint and what the stage writes."""
        self._progress = self._open()
        self._began = saved = time.monotonic()
        try:
            while self.done < self.course.steps and not self._late():
                stop_without_parent()
                self.step()
                if self.done % self.course.report_every == 0 or self.done == self.course.steps:
                    self._settle()
                    self._progress.show(self.done, self._allowed_s())
                if self.team.leads and time.monotonic() - saved > self.settings.checkpoint_s:
                    self.save()
                    saved = time.monotonic()
            if self.team.leads:
                self.save()
        finally:
            self._progress.close()

    def save(self) -> None:
        """Write the checkpoint, after the losses that led to it, and what the stage writes."""
        self._settle()
        self._progress.flush()
        stop_without_parent()
        learner = self.learner
        state = Checkpoint(
            self.done, self._seconds(), learner.config, learner.objective.state_dict(),
            learner.optimizer.state_dict(),
        )  # fmt: skip
        save_checkpoint(self._folder, state)
        learner.export()

    def _resume(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(self._folder, self.learner.config)
        if found is None:
            return
        self.learner.objective.load_state_dict(found.objective)
        self.learner.optimizer.load_state_dict(dict(found.optimizer))
        self.done, self._spent_s = found.step, found.spent_s
        print(f"{self.learner.name}: going on after step {self.done}", flush=True)

    def _open(self) -> Progress:
        stop_without_parent()  # before the log is touched that may by now be another one's
        name, steps = self.learner.name, self.course.steps
        if not self.team.leads:
            return Progress(name, steps, self.done)
        board = Board(self._folder, self.done) if self.settings.tensorboard else None
        return Progress(name, steps, self.done, LossLog(self._folder, self.done), board)

    def _seconds(self) -> float:
        return self._spent_s + time.monotonic() - self._began

    def _allowed_s(self) -> float:
        minutes = self.course.max_minutes
        return math.inf if minutes is None else 60.0 * minutes - self._seconds()

    def _late(self) -> bool:
        return self.course.max_minutes is not None and self.team.any(self._allowed_s() < 0.0)

    def _settle(self) -> None:
        """Fetch the losses of the steps since the last time: a GPU need not wait at each step."""
        first = self.done - len(self._pending)
        rows = [dict(zip(names, numbers.tolist(), strict=True)) for names, numbers in self._pending]
        self._pending.clear()
        for step, row in enumerate(rows, first):
            if not (math.isfinite(row["loss"]) and math.isfinite(row["norm"])):
                raise ConfigError(
                    f"{self.learner.name}: at step {step} the loss is {row['loss']}, its gradient "
                    f"{row['norm']}: lower the rate, or use precision float32. The checkpoint "
                    f"before it is whole: {self._folder / CHECKPOINT}"
                )
            rate = self.course.learning_rate * self.course.lr_schedule.factor(
                step, self.course.steps
            )
            self._progress.add(step, {**row, "rate": rate})
