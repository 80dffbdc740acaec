"""The hop of a live session: 1 where the kernel holds it with a core to spare, else the bundle's.

A hop of one frame does not wait for the sound of a second one, but costs nearly as much as a hop of
two. Whether a machine can afford that is measured at the start, once the kernel is ready.
"""

import os
from typing import Final

import torch

from engine.bundle.io import Bundle
from engine.generate.schedule import Schedule
from engine.generate.step import HopStep
from engine.system.threads import graph_threads, is_small
from exporters.commands.kernels import Say
from exporters.commands.steps import AUTO, hop_s, ready_step

_PAUSE_S: Final = 0.01  # a live hop follows a pause, and takes longer for it: caches are cold
SHARE: Final = 0.5
"""Of a frame's time, which a hop of one frame may take: the rest absorbs what delays it."""


def holds(cost_s: float, threads: int, frame_rate: int, cores: int) -> bool:
    """Whether hops of one frame that take `cost_s` with `threads` leave a core to spare."""
    busy_cores = cost_s * frame_rate * threads
    return cost_s * frame_rate <= SHARE and busy_cores <= max(cores - 1, SHARE)


def live_step(
    kernel: str, bundle: Bundle, hop: int | None, lookahead: int | None, say: Say
) -> tuple[HopStep, Schedule]:
    """What computes live hops with the kernel of that name, and the schedule that it holds.

    hop: taken as it is where given. Raises what `ready_step` raises.
    """
    usual = bundle.config.schedule.with_hop(hop, lookahead)
    if hop is not None or usual.hop == 1 or not _may_hold(kernel, bundle):
        return ready_step(kernel, bundle, usual, say), usual
    single = bundle.config.schedule.with_hop(1, lookahead)
    step = ready_step(kernel, bundle, single, say)
    cost_s = hop_s(step, bundle, single, _PAUSE_S)
    threads, rate = graph_threads(bundle.gesture), bundle.config.clock.frame_rate
    is_held = holds(cost_s, threads, rate, _cores())
    schedule = single if is_held else usual
    say(f"hop {schedule.hop}: one frame is computed in {cost_s * 1e3:.1f} of {1e3 / rate:.1f} ms")
    return step if is_held else ready_step(kernel, bundle, usual, say), schedule


def _may_hold(kernel: str, bundle: Bundle) -> bool:
    """Whether hops of one frame are tried: on a processor a large network cannot hold them."""
    on_gpu = kernel.startswith(("cudagraph", "tensorrt"))
    return on_gpu or is_small(bundle.gesture) or (kernel == AUTO and torch.cuda.is_available())


def _cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(allowed(0)) if allowed else os.cpu_count() or 1
