"""Selection of the step for a stream on this machine: by kernel name, or the fastest one."""

import os
from pathlib import Path
from typing import Final

import torch

from engine.bundle.io import Bundle
from engine.errors import MissingBackendError
from engine.generate.schedule import Schedule
from engine.generate.step import HopStep
from engine.kernels.build_target import BuildTarget, Log, ignore
from engine.kernels.eager import EagerKernel
from engine.stream.autotune import automatic_step, hop_s
from engine.stream.build_step import build_step
from engine.system.cache import cache_folder
from engine.system.threads import graph_threads, is_small

AUTO: Final = "auto"
_PAUSE_S: Final = 0.01  # a live hop follows a pause and takes longer for it: caches are cold
SHARE: Final = 0.5
"""Share of a frame's time that a hop of one frame may take; the rest absorbs delays."""


def select_step(
    name: str,
    bundle: Bundle,
    schedule: Schedule | None = None,
    cache_dir: Path | None = None,
    log: Log = ignore,
) -> HopStep:
    """The step that computes the hops of `bundle` by the kernel called `name`.

    name: `auto` (the fastest kernel that matches the eager one here, timed once per machine) or one
    of `engine.kernels.registry.KERNEL_NAMES`. schedule: the bundle's own unless given. cache_dir:
    where compiled files go; the user's cache folder unless given. log: called with one line about
    whatever takes long or fails. The eager kernel runs, and one line says why, where a library is
    missing. Raises KernelError for an unknown kernel, one that cannot run here, and one that does
    not match the eager one.
    """
    schedule = schedule or bundle.config.schedule
    return step_for(name, BuildTarget(bundle, schedule, cache_dir or cache_folder(), log))


def step_for(name: str, target: BuildTarget) -> HopStep:
    """`select_step` for a target."""
    if name == AUTO:
        return automatic_step(target)
    try:
        return build_step(name, target)
    except MissingBackendError as error:
        target.log(f"note: {error}; running eager")
        return build_step(EagerKernel.name, target)


def select_live_step(
    kernel: str, target: BuildTarget, hop: int | None, lookahead: int | None
) -> tuple[HopStep, Schedule]:
    """The step for a live session, and the schedule that this machine sustains with it.

    A hop of one frame waits for less sound than a hop of two, but costs nearly as much. It is taken
    where the measured cost leaves a core free. hop: taken as it is if given; lookahead: None for
    the bundle's own. Raises as `select_step`.
    """
    bundle = target.bundle
    usual = bundle.config.schedule.with_hop(hop, lookahead)
    if hop is not None or usual.hop == 1 or not _may_sustain(kernel, bundle):
        return step_for(kernel, target.with_schedule(usual)), usual
    single = target.with_schedule(bundle.config.schedule.with_hop(1, lookahead))
    step = step_for(kernel, single)
    cost_s = hop_s(step, single, _PAUSE_S)
    threads, rate = graph_threads(bundle.gesture), bundle.config.clock.frame_rate
    sustained = is_sustained(cost_s, threads, rate, _cores())
    schedule = single.schedule if sustained else usual
    target.log(
        f"hop {schedule.hop}: one frame is computed in {cost_s * 1e3:.1f} of {1e3 / rate:.1f} ms"
    )
    return step if sustained else step_for(kernel, target.with_schedule(usual)), schedule


def is_sustained(cost_s: float, threads: int, frame_rate: int, cores: int) -> bool:
    """Whether hops of one frame that take `cost_s` with `threads` leave a core free."""
    busy_cores = cost_s * frame_rate * threads
    return cost_s * frame_rate <= SHARE and busy_cores <= max(cores - 1, SHARE)


def _may_sustain(kernel: str, bundle: Bundle) -> bool:
    """Whether a hop of one frame is tried: on a CPU a large network cannot sustain it."""
    on_gpu = kernel.startswith(("cudagraph", "tensorrt"))
    return on_gpu or is_small(bundle.gesture) or (kernel == AUTO and torch.cuda.is_available())


def _cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # missing on macOS and Windows
    return len(allowed(0)) if allowed else os.cpu_count() or 1
