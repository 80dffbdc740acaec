"""`auto`: the fastest kernel for a model on this machine, timed once.

The choice is kept per model, schedule, machine and library versions.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from engine.bundle.io import Bundle
from engine.errors import KernelError
from engine.generate.state import EncoderState
from engine.generate.step import HopStep, StagedStep, StepOutput
from engine.kernels.build_target import BuildTarget, machine
from engine.kernels.cached_step import CachedEncoderStep
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import eager_kernel, fused_module, window_ends, window_shape
from engine.kernels.fused_step import HopInputs
from engine.kernels.parity import measure
from engine.kernels.registry import KERNEL_NAMES
from engine.kernels.window_graph import draw_window
from engine.stream.build_step import build_step, supports_encoder_cache
from engine.system import cache
from engine.system.threads import graph_threads, is_small, set_threads
from engine.timing import no_timer

CANDIDATES: Final = ("cudagraph", "openvino", "openvino-bf16", "onnx")
_WORTHWHILE: Final = 0.95  # of the eager time; a smaller gain is not worth another library
_BUDGET_S: Final = 20.0
_TIMED: Final = 12
_CALLS: Final = 2  # different inputs that are timed in turn
_ACCURATE: Final = 0.02  # latent error up to which a coarser precision is chosen by itself


@dataclass(frozen=True)
class Choice:
    """Result of `auto`.

    Attributes:
        kernel: name of the chosen kernel.
        ms: milliseconds of a hop, by kernel that was timed.
        untried: reason, by kernel that was not timed.

    """

    kernel: str
    ms: dict[str, float]
    untried: dict[str, str]

    @property
    def line(self) -> str:
        """The choice as one line."""
        times = ", ".join(f"{name} {ms:.1f} ms" for name, ms in self.ms.items())
        names: dict[str, list[str]] = {}
        for name, reason in self.untried.items():
            names.setdefault(reason, []).append(name)
        left = "; ".join(f"{', '.join(some)} ({reason})" for reason, some in names.items())
        return f"kernel auto: {self.kernel} ({times} a hop)" + (left and f"; not timed: {left}")


def automatic_step(target: BuildTarget) -> HopStep:
    """The step of the fastest kernel that matches the eager one; one line names it.

    Whole files are computed by the eager kernel: `Schedule.files` promises the numbers of the
    published programs.
    """
    if target.schedule.files is not None:
        return build_step(EagerKernel.name, target)
    known = load_choice(target)
    if known is not None:
        try:
            step = build_step(known.kernel, target)
        except KernelError:
            target.log(f"kernel {known.kernel}, chosen before, does not run now; choosing again")
        else:
            target.log(known.line)
            return step
    target.log(
        f"kernel auto: timing a hop by each kernel, once on this machine ({_BUDGET_S:.0f} s) ..."
    )
    choice, step = time_candidates(target)
    target.log(choice.line)
    save_choice(target, choice)
    return step


def time_candidates(target: BuildTarget) -> tuple[Choice, HopStep]:
    """Times of the kernels that run here and match, within the budget; and the fastest step."""
    set_threads(target.bundle.gesture, EagerKernel.name)
    steps = {EagerKernel.name: build_step(EagerKernel.name, target)}
    times = {EagerKernel.name: hop_s(steps[EagerKernel.name], target)}
    untried: dict[str, str] = {}
    end = time.monotonic() + _BUDGET_S
    for name in CANDIDATES:
        reason = _not_worth_timing(name, times, target.bundle)
        if reason or time.monotonic() > end:
            untried[name] = reason or f"{_BUDGET_S:.0f} s were over"
            continue
        try:
            step = build_step(name, target)
        except KernelError as error:
            untried[name] = str(error).partition(";")[0].removeprefix(f"{name} ")
            continue
        if not is_accurate_enough(step, target):
            untried[name] = "less accurate than auto allows"
            continue
        steps[name], times[name] = step, hop_s(step, target)
    choice = choose(times, untried)
    return choice, steps[choice.kernel]


def choose(times: Mapping[str, float], untried: Mapping[str, str]) -> Choice:
    """The choice by `times` (s) of a hop."""
    ms = {name: round(seconds * 1000, 3) for name, seconds in times.items()}
    return Choice(fastest(times), ms, dict(untried))


def fastest(times: Mapping[str, float]) -> str:
    """The kernel with the least time; the eager one where little is gained."""
    best = min(times, key=lambda name: times[name])
    worth = times[best] <= _WORTHWHILE * times[EagerKernel.name]
    return best if worth else EagerKernel.name


def load_choice(target: BuildTarget) -> Choice | None:
    """The choice that is kept for this machine, model and schedule; None if there is none."""
    data = cache.read(_file(target))
    try:
        found = None if data is None else Choice(**json.loads(bytes(data)))
    except (ValueError, TypeError):
        return None
    return found if found is not None and found.kernel in KERNEL_NAMES else None


def save_choice(target: BuildTarget, choice: Choice) -> None:
    """Keep a choice where files can be kept."""
    cache.write(_file(target), json.dumps(asdict(choice), indent=1).encode(), target.log)


def _file(target: BuildTarget) -> Path | None:
    folder, shape = target.folder, window_shape(target.bundle, target.schedule)
    threads = graph_threads(target.bundle.gesture)
    key = f"{machine()} {shape} {target.schedule} {threads} of hops"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return None if folder is None else folder / f"auto_{digest}.json"


def _not_worth_timing(name: str, times: Mapping[str, float], bundle: Bundle) -> str:
    """Reason why the kernel is not timed; empty if it is."""
    if name == "openvino-bf16" and is_small(bundle.gesture):
        return "gains nothing for a small network"
    if name == "onnx" and "openvino" in times:
        return "slower than openvino"
    return ""


def is_accurate_enough(step: HopStep, target: BuildTarget) -> bool:
    """Whether the kernel of a step is close enough to the eager one for `auto`.

    Fused steps are: their verification is as strict.
    """
    kernel = step.kernel if isinstance(step, StagedStep | CachedEncoderStep) else None
    if kernel is None:
        return True
    generator = torch.Generator().manual_seed(1)
    shape = window_shape(target.bundle, target.schedule)
    windows = [draw_window(shape, generator) for _ in range(_CALLS)]
    eager = eager_kernel(target.bundle, target.schedule)
    return measure(kernel, eager, windows).error <= _ACCURATE


# -- timing ------------------------------------------------------------------------------------


def hop_s(step: HopStep, target: BuildTarget, pause_s: float = 0.0) -> float:
    """Median time of a hop in seconds, each hop after a pause."""
    return median_s(benchmark_calls(step, target), pause_s=pause_s)


def benchmark_calls(step: HopStep, target: BuildTarget) -> list[Callable[[], object]]:
    """Calls that compute one live hop each, on random inputs."""
    network = fused_module(target.bundle, target.schedule)
    shape = window_shape(target.bundle, target.schedule)
    generator = torch.Generator().manual_seed(1)
    encoder = EncoderState.empty(1)
    if supports_encoder_cache(step.name, target):
        hop = network.draw(shape, generator)
        return _overlapping_calls(step, hop, encoder, target)
    hops = [network.draw(shape, generator) for _ in range(_CALLS)]
    return [partial(_compute, step, hop, encoder) for hop in hops]


def _overlapping_calls(
    step: HopStep, hop: HopInputs, encoder: EncoderState, target: BuildTarget
) -> list[Callable[[], object]]:
    """Consecutive, overlapping hops for timing steps with an encoder cache."""
    end = window_ends(target.bundle)
    starts = [end(number * target.schedule.hop) for number in range(_TIMED + 2)]
    length, generator = hop.window.audio.shape[1], torch.Generator().manual_seed(2)
    sound = torch.randn(1, starts[-1] + length, 1, generator=generator) * 0.5
    calls: list[Callable[[], object]] = []
    for before, start in zip([0, *starts], starts, strict=False):
        window = hop.window._replace(audio=sound[:, start : start + length])
        calls.append(partial(_compute, step, hop._replace(window=window), encoder, start - before))
    return calls


def _compute(step: HopStep, hop: HopInputs, encoder: EncoderState, moved: int = 0) -> StepOutput:
    """One hop whose window is `moved` samples after the one before."""
    encoder.advance(0, moved)
    return step(hop.window, hop.history, lambda: hop.noise, no_timer, encoder)


def median_s(
    calls: Sequence[Callable[[], object]], count: int = _TIMED, pause_s: float = 0.0
) -> float:
    """Median time in seconds of `count` calls in turn, after two that are not counted.

    pause_s: waited before each call.
    """
    times = []
    for turn in range(count + 2):
        time.sleep(pause_s)
        begin = time.perf_counter()
        with torch.inference_mode():
            calls[turn % len(calls)]()
        times.append(time.perf_counter() - begin)
    return float(np.median(times[2:]))
