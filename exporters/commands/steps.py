"""What computes the hops of a stream on this machine: one graph of a whole hop, or its pieces.

Knows which kernels are better off with one graph, and real hops to try it on; how kernels are made
and where they are kept is in `exporters.commands.kernels`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypedDict

import numpy as np
import torch
from torch import Tensor

from engine.audio.source import WavSource
from engine.bundle import Bundle
from engine.decoder import Decoder
from engine.errors import KernelError
from engine.kernels.base import Kernel, WindowInputs, WindowOutputs
from engine.kernels.graph import Settings
from engine.kernels.registry import backend
from engine.pose import FloatArray
from engine.schedule import Schedule
from engine.statistics import Watch
from engine.step import Draw, HopStep, Stepped
from engine.step_graph import HopInputs, graph_step
from engine.stream import GestureStream, step_network
from engine.text.files import read_words
from exporters.commands.kernels import (
    AUTO,
    CLIP,
    CLIP_WORDS,
    Say,
    chosen_before,
    model_folder,
    ready_decoder,
    ready_kernel,
    window_shape,
)

WHOLE: Final = ("cudagraph", "cudagraph-fp16", "openvino")
"""Kernels that are better off with one graph. Between two recordings a GPU waits for launches;
OpenVINO takes a tenth less for a hop of a small bundle. Its coarser precisions are left out:
they would hold for codes and poses too."""
_REAL_HOPS: Final = 4
_APART: Final = 4  # hops from one that is kept to the next


class Networks(TypedDict):
    """Arguments of a GestureStream: what computes its hops."""

    kernel: Kernel
    decoder: Decoder | None
    step: HopStep | None


class _Within:
    """The kernel of a stream whose hops are one graph; by itself it runs nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Raises KernelError."""
        raise KernelError(f"{self.name} computes whole hops here, not windows alone; use eager")


class HopRecorder:
    """A step that keeps all that every `every`th hop depends on."""

    def __init__(self, step: HopStep, every: int = 1) -> None:
        self.hops: list[HopInputs] = []
        self._step = step
        self._every = every
        self._count = 0

    def __call__(self, inputs: WindowInputs, history: Tensor, draw: Draw, watch: Watch) -> Stepped:
        """The step itself, watched."""
        noise = draw()
        if self._count % self._every == 0:
            window = WindowInputs(*(tensor.clone() for tensor in inputs))
            self.hops.append(HopInputs(window, history.clone(), noise))
        self._count += 1
        return self._step(inputs, history, lambda: noise, watch)


def real_hops(
    bundle: Bundle, schedule: Schedule, count: int, sound: Path = CLIP, words: Path = CLIP_WORDS
) -> list[HopInputs]:
    """`count` hops at most of a clip of real speech, as a live stream computes them."""
    recorder = HopRecorder(step_network(bundle, schedule).eval().pieces(), _APART)
    stream = GestureStream(bundle, schedule=schedule, step=recorder)
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
    """A hop of a live schedule as one graph of that kernel's backend; raises as `graph_step`."""
    return graph_step(
        step_network(bundle, schedule),
        window_shape(bundle, schedule, rows),
        backend(kernel),
        Settings(torch.get_num_threads(), model_folder(bundle), say),
        lambda: in_rows(real_hops(bundle, schedule, _REAL_HOPS), rows)[: -(-_REAL_HOPS // rows)],
    )


def ready_networks(name: str, bundle: Bundle, schedule: Schedule, say: Say) -> Networks:
    """What computes the hops with the kernel called `name`; raises what `ready_kernel` raises.

    One graph for the kernels that are better off with it. Where it cannot be made or does not match
    there are two, and one line says why.
    """
    wanted, refused = name, ""
    if name == AUTO:
        wanted = chosen_before(bundle, schedule, say) or AUTO
    if wanted in WHOLE and schedule.files is None:
        try:
            return _as_one(wanted, bundle, schedule, say)
        except KernelError as error:
            refused = str(error)
    kernel = ready_kernel(name, bundle, schedule, say)
    if refused and kernel.name == wanted:
        say(f"note: {refused}; hops are computed in pieces")
        return _in_pieces(kernel, bundle, schedule, say)
    return networks_of(kernel, bundle, schedule, say)


def networks_of(kernel: Kernel, bundle: Bundle, schedule: Schedule, say: Say) -> Networks:
    """The same for a kernel that is there."""
    if kernel.name in WHOLE and schedule.files is None:
        try:
            return _as_one(kernel.name, bundle, schedule, say)
        except KernelError as error:
            say(f"note: {error}; hops are computed in pieces")
    return _in_pieces(kernel, bundle, schedule, say)


def _as_one(name: str, bundle: Bundle, schedule: Schedule, say: Say) -> Networks:
    step = make_step(name, bundle, schedule, say)
    return Networks(kernel=_Within(name), decoder=None, step=step)


def _in_pieces(kernel: Kernel, bundle: Bundle, schedule: Schedule, say: Say) -> Networks:
    decoder = ready_decoder(kernel, bundle, schedule, say)
    return Networks(kernel=kernel, decoder=decoder, step=None)
