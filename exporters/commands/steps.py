"""What computes the hops of a stream on this machine: one graph of a whole hop, or its pieces.

Knows which kernels are better off with one graph, real hops to try it on, and how long a hop takes;
how kernels are made and where they are kept is in `exporters.commands.kernels`.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from engine.audio.source import WavSource
from engine.bundle.io import Bundle
from engine.errors import KernelError, MissingBackendError
from engine.generate.schedule import Schedule
from engine.generate.state import EncoderState
from engine.generate.step import HopStep, NoiseSource, StagedStep, StepOutput
from engine.kernels.cached_step import recalling_step
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step, step_network, window_ends, window_shape
from engine.kernels.fused_step import HopInputs, StepNetwork, graph_step
from engine.kernels.graph import Precision
from engine.kernels.parity import measure
from engine.kernels.registry import KERNEL_NAMES, Request, backend
from engine.kernels.window_graph import draw_window
from engine.model.fuse import lean
from engine.model.types import Kernel, WindowInputs
from engine.motion.pose import FloatArray
from engine.stream.stream import GestureStream
from engine.system.threads import is_small, set_threads
from engine.text.files import read_words
from engine.timing import Watch, no_timer
from exporters.commands.automatic import CANDIDATES, Choice, chosen, remember, remembered
from exporters.commands.kernels import (
    CLIP,
    CLIP_WORDS,
    Say,
    kernel_request,
    made_kernel,
    moved,
    ready_decoder,
    recalls,
)

WHOLE: Final = ("cudagraph", "cudagraph-fp16", "openvino", "openvino-int8")
"""Kernels that are better off with one graph. Between two recordings a GPU waits for launches;
OpenVINO takes a tenth less for a hop of a small bundle. Its bf16 is left out: it would hold for
codes and poses too."""
AUTO: Final = "auto"
_REAL_HOPS: Final = 4
_APART: Final = 4  # hops from one that is kept to the next
_BUDGET_S: Final = 20.0
_TIMED: Final = 12
_CALLS: Final = 2  # different inputs that are timed in turn
_UNSEEN: Final = 0.02  # what a coarser precision may be off to be chosen unasked


class HopRecorder:
    """A step that keeps all that every `every`th hop depends on."""

    def __init__(self, step: HopStep, every: int = 1) -> None:
        self.hops: list[HopInputs] = []
        self._step = step
        self.name, self.sampler, self.decoder = step.name, step.sampler, step.decoder
        self._every = every
        self._count = 0

    def __call__(
        self,
        inputs: WindowInputs,
        history: Tensor,
        draw: NoiseSource,
        watch: Watch,
        encoder: EncoderState,
    ) -> StepOutput:
        """The step itself, watched."""
        noise = draw()
        if self._count % self._every == 0:
            window = WindowInputs(*(tensor.clone() for tensor in inputs))
            self.hops.append(HopInputs(window, history.clone(), noise))
        self._count += 1
        return self._step(inputs, history, lambda: noise, watch, encoder)


def real_hops(
    bundle: Bundle, schedule: Schedule, count: int, sound: Path = CLIP, words: Path = CLIP_WORDS
) -> list[HopInputs]:
    """`count` hops at most of a clip of real speech, as a live stream computes them."""
    recorder = HopRecorder(step_network(bundle, schedule).eval().pieces(), _APART)
    threads = torch.get_num_threads()  # those of the stream that this is recorded for
    stream = GestureStream(bundle, schedule=schedule, step=recorder, threads=threads)
    stream.feed_words(read_words(words))
    # No more of the clip than is needed: this is done at every start.
    frames = (count * _APART + 1) * schedule.hop + schedule.lookahead
    needed = frames * bundle.config.clock.sample_rate // bundle.config.clock.frame_rate
    stream.feed_audio(_beginning(sound, needed))
    while len(recorder.hops) < count and stream.next_chunk() is not None:
        pass
    return recorder.hops[:count]


def _beginning(sound: Path, samples: int) -> FloatArray:
    """The first `samples` of a file, or all of it."""
    source, blocks, heard = WavSource(sound), [], 0
    for block in source.blocks():
        blocks.append(block.samples)
        heard += len(block.samples)
        if heard >= samples:
            break
    source.close()
    return np.concatenate(blocks)


def in_rows(hops: Sequence[HopInputs], rows: int) -> list[HopInputs]:
    """The same hops in batches of `rows`, each row another one."""
    turned = [[hops[(i + r) % len(hops)] for r in range(rows)] for i in range(len(hops))]
    return [_joined(some) for some in turned]


def _joined(hops: Sequence[HopInputs]) -> HopInputs:
    window = WindowInputs(*(torch.cat(x) for x in zip(*(hop.window for hop in hops), strict=True)))
    noises = [hop.noise for hop in hops if hop.noise is not None]
    return HopInputs(
        window, torch.cat([hop.history for hop in hops]), torch.cat(noises) if noises else None
    )


def make_step(
    kernel: str, bundle: Bundle, schedule: Schedule, say: Say, *, rows: int = 1
) -> HopStep:
    """A hop of a live schedule as one graph of that kernel's backend, which hears nothing twice
    where that is possible; raises as `graph_step`.
    """
    network, request = (
        step_network(bundle, schedule),
        kernel_request(bundle, schedule, say, rows=rows),
    )

    def real() -> list[HopInputs]:
        if backend(kernel).precision is Precision.INT8:  # calibrated, which takes many
            return spoken_hops(network, request)
        return in_rows(real_hops(bundle, schedule, _REAL_HOPS), rows)[: -(-_REAL_HOPS // rows)]

    if rows == 1 and recalls(kernel, bundle, schedule):
        step = recalling_step(kernel, network, request, moved(bundle, schedule), real)
        if step is not None:
            return step
    return graph_step(network, request.shape, backend(kernel), request.settings, real)


def spoken_hops(network: StepNetwork, request: Request) -> list[HopInputs]:
    """Hops of the windows of speech that are kept for 8 bits, with random codes before them."""
    generator = torch.Generator().manual_seed(0)
    return [
        network.draw(request.shape, generator)._replace(window=window)
        for window in request.samples()
    ]


def add_kernel_option(parser: argparse.ArgumentParser) -> None:
    """--kernel."""
    parser.add_argument(
        "--kernel",
        default=AUTO,
        metavar="NAME",
        help=f"{', '.join(KERNEL_NAMES)}; or {AUTO} (default): the fastest that matches eager "
        "here, chosen once",
    )


def ready_step(name: str, bundle: Bundle, schedule: Schedule, say: Say) -> HopStep:
    """What computes the hops with the kernel called `name`; `auto` is the fastest that matches.

    Eager, and one line that says why, where a library is missing. Raises KernelError for an unknown
    kernel, one that cannot run here, or one that does not match the eager one.
    """
    if name == AUTO:
        return _automatic(bundle, schedule, say)
    try:
        return made_step(name, bundle, schedule, say)
    except MissingBackendError as error:
        say(f"note: {error}; running eager")
        return made_step(EagerKernel.name, bundle, schedule, say)


def made_step(name: str, bundle: Bundle, schedule: Schedule, say: Say) -> HopStep:
    """The same for kernels by their own names; a missing library raises MissingBackendError.

    One graph for the kernels that are better off with it. Where it cannot be made or does not match
    there are two, and one line says why.
    """
    refused = ""
    if _better_whole(name, schedule):
        try:
            return make_step(name, bundle, schedule, say)
        except MissingBackendError:
            raise
        except KernelError as error:
            refused = f"note: {error}; hops are computed in pieces"
    kernel = made_kernel(name, bundle, schedule, say)
    if refused:
        say(refused)
    return _in_pieces(kernel, bundle, schedule, say)


def step_of(kernel: Kernel, bundle: Bundle, schedule: Schedule, say: Say) -> HopStep:
    """The same for a kernel that is there."""
    if _better_whole(kernel.name, schedule):
        try:
            return make_step(kernel.name, bundle, schedule, say)
        except KernelError as error:
            say(f"note: {error}; hops are computed in pieces")
    return _in_pieces(kernel, bundle, schedule, say)


def _better_whole(name: str, schedule: Schedule) -> bool:
    return name in WHOLE and schedule.files is None


def _in_pieces(kernel: Kernel, bundle: Bundle, schedule: Schedule, say: Say) -> StagedStep:
    decoder = ready_decoder(kernel, bundle, schedule, say)
    return staged_step(bundle, schedule, kernel=kernel, decoder=decoder)


# -- the fastest -------------------------------------------------------------------------------


def _automatic(bundle: Bundle, schedule: Schedule, say: Say) -> HopStep:
    """The networks of the fastest kernel that matches eager here, said in one line.

    Timed once for a model, schedule, machine and versions, and remembered. Whole files are computed
    by eager, as `Schedule.files` promises the numbers of the published programs.
    """
    if schedule.files is not None:
        return made_step(EagerKernel.name, bundle, schedule, say)
    known = remembered(bundle, schedule)
    if known is not None:
        try:
            step = made_step(known.kernel, bundle, schedule, say)
        except KernelError:
            say(f"kernel {known.kernel}, chosen earlier, does not run any more; choosing again")
        else:
            say(known.line)
            return step
    say(f"kernel auto: timing a hop by each kernel, once on this machine ({_BUDGET_S:.0f} s) ...")
    choice, step = time_candidates(bundle, schedule, say)
    say(choice.line)
    remember(bundle, schedule, choice, say)
    return step


def time_candidates(bundle: Bundle, schedule: Schedule, say: Say) -> tuple[Choice, HopStep]:
    """The times of those that run here and match, until the time is used up; and the fastest."""
    set_threads(bundle.gesture, EagerKernel.name)
    made = {EagerKernel.name: made_step(EagerKernel.name, bundle, schedule, say)}
    times = {EagerKernel.name: hop_s(made[EagerKernel.name], bundle, schedule)}
    untried: dict[str, str] = {}
    end = time.monotonic() + _BUDGET_S
    for name in CANDIDATES:
        reason = _not_worth_timing(name, times, bundle)
        if reason or time.monotonic() > end:
            untried[name] = reason or f"{_BUDGET_S:.0f} s were over"
            continue
        try:
            step = made_step(name, bundle, schedule, say)
        except KernelError as error:
            untried[name] = str(error).partition(";")[0].removeprefix(f"{name} ")
            continue
        if isinstance(step, StagedStep) and not _unseen(step, bundle, schedule):
            untried[name] = "too far from eager to be taken unasked"
            continue
        made[name], times[name] = step, hop_s(step, bundle, schedule)
    choice = chosen(times, untried)
    return choice, made[choice.kernel]


def _not_worth_timing(name: str, times: Mapping[str, float], bundle: Bundle) -> str:
    """Why the kernel of that name is not timed; empty where it is."""
    if name == "openvino-bf16" and is_small(bundle.gesture):
        return "gains nothing for a small network"
    if name == "onnx" and "openvino" in times:
        return "slower than openvino"
    return ""


def _unseen(step: StagedStep, bundle: Bundle, schedule: Schedule) -> bool:
    """Whether a coarser precision is so near to the eager kernel that it may be chosen unasked."""
    eager = EagerKernel(lean(bundle.gesture), schedule.newest)
    return measure(step.kernel, eager, _windows(bundle, schedule)).error <= _UNSEEN


def _windows(bundle: Bundle, schedule: Schedule) -> list[WindowInputs]:
    generator = torch.Generator().manual_seed(1)
    return [draw_window(window_shape(bundle, schedule), generator) for _ in range(_CALLS)]


def hop_s(step: HopStep, bundle: Bundle, schedule: Schedule, pause_s: float = 0.0) -> float:
    """Seconds that a hop takes, each after a pause: the median of some."""
    return median_s(hop_calls(step, bundle, schedule), pause_s=pause_s)


def hop_calls(step: HopStep, bundle: Bundle, schedule: Schedule) -> list[Callable[[], object]]:
    """Calls that compute a live hop each, on random inputs."""
    network = step_network(bundle, schedule)
    shape, generator = window_shape(bundle, schedule), torch.Generator().manual_seed(1)
    hops = [network.draw(shape, generator) for _ in range(_CALLS)]
    if recalls(step.name, bundle, schedule):
        hops = _following(hops[0], bundle, schedule, generator)
    encoder = EncoderState.empty(1)
    return [
        partial(step, hop.window, hop.history, partial(_given, hop.noise), no_timer, encoder)
        for hop in hops
    ]


def _following(
    hop: HopInputs, bundle: Bundle, schedule: Schedule, generator: torch.Generator
) -> list[HopInputs]:
    """Hops whose sound goes on from one to the next, as a kernel that keeps what it heard finds it;
    as many as are timed.
    """
    end = window_ends(bundle)
    starts = [end(number * schedule.hop) for number in range(_TIMED + 2)]
    span = hop.window.audio.shape[1]
    sound = torch.randn(1, starts[-1] + span, 1, generator=generator) * 0.5
    windows = [hop.window._replace(audio=sound[:, start : start + span]) for start in starts]
    return [hop._replace(window=window) for window in windows]


def _given(noise: Tensor | None) -> Tensor | None:
    return noise


def median_s(
    calls: Sequence[Callable[[], object]], count: int = _TIMED, pause_s: float = 0.0
) -> float:
    """The median time of `calls` in turn, `count` in all, after two that are not counted.

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
