"""Real inputs of a step: windows and hops of the demo clip, recorded from a stream.

Backends with 8-bit numbers are calibrated on windows; compiled hops are compared on hops.
"""

import functools
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import count as counting
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.audio.source import WavSource
from engine.bundle.io import DEMO_SOUND, DEMO_WORDS
from engine.generate.state import EncoderState
from engine.generate.step import HopStep, NoiseSource, StepOutput
from engine.kernels.build_target import BuildTarget
from engine.kernels.from_bundle import eager_kernel, fused_module, staged_step, window_shape
from engine.kernels.fused_step import FusedStepModule, HopInputs
from engine.kernels.registry import KernelSpec
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.motion.pose import FloatArray
from engine.stream.stream import GestureStream
from engine.system import cache
from engine.text.files import read_words
from engine.timing import Watch

_Item = TypeVar("_Item")
CALIBRATION_WINDOWS: Final = 128
_STRIDE: Final = (
    4  # hops from one recording to the next, at most: a large model takes long for each
)


class WindowRecorder:
    """Runs `kernel` and records every `stride`th window."""

    def __init__(self, kernel: Kernel, stride: int = 1) -> None:
        self.name = kernel.name
        self.windows: list[WindowInputs] = []
        self._kernel = kernel
        self._stride = stride
        self._numbers = counting()

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """See `Kernel`."""
        if next(self._numbers) % self._stride == 0:
            self.windows.append(WindowInputs(*(tensor.clone() for tensor in inputs)))
        return self._kernel(inputs)


class HopRecorder:
    """Runs `step` and records the inputs of every `stride`th hop."""

    def __init__(self, step: HopStep, stride: int = 1) -> None:
        self.hops: list[HopInputs] = []
        self.name, self.sampler, self.decoder = step.name, step.sampler, step.decoder
        self._step = step
        self._stride = stride
        self._numbers = counting()

    def __call__(
        self,
        inputs: WindowInputs,
        history: Tensor,
        draw: NoiseSource,
        watch: Watch,
        encoder: EncoderState,
    ) -> StepOutput:
        """See `HopStep`."""
        noise = draw()
        if next(self._numbers) % self._stride == 0:
            window = WindowInputs(*(tensor.clone() for tensor in inputs))
            self.hops.append(HopInputs(window, history.clone(), noise))
        return self._step(inputs, history, lambda: noise, watch, encoder)


def record_windows(
    target: BuildTarget,
    count: int,
    clip: tuple[Path, Path] = (DEMO_SOUND, DEMO_WORDS),
    *,
    stride: int = _STRIDE,
) -> list[WindowInputs]:
    """At most `count` windows of a clip of speech (sound, words), as a stream computes them.

    stride: hops from one recording to the next, at most; fewer where the clip is short.
    """
    bundle, schedule = target.bundle, target.schedule
    sound, words = clip
    samples = np.concatenate([block.samples for block in WavSource(sound).blocks()])
    clock = bundle.config.clock
    hops = len(samples) * clock.frame_rate // (clock.sample_rate * schedule.hop)
    recorder = WindowRecorder(eager_kernel(bundle, schedule), min(max(1, hops // count), stride))
    stream = _stream(target, staged_step(bundle, schedule, kernel=recorder))
    stream.feed_words(read_words(words))
    stream.feed_audio(samples)
    while len(recorder.windows) < count and stream.next_chunk() is not None:
        pass
    return recorder.windows[:count]


def record_hops(
    target: BuildTarget, count: int, clip: tuple[Path, Path] = (DEMO_SOUND, DEMO_WORDS)
) -> list[HopInputs]:
    """At most `count` hops of a clip of speech (sound, words), as a live stream computes them."""
    schedule, clock = target.schedule, target.bundle.config.clock
    sound, words = clip
    recorder = HopRecorder(fused_module(target.bundle, schedule).eval().staged(), _STRIDE)
    stream = _stream(target, recorder)
    stream.feed_words(read_words(words))
    # No more of the clip than is needed: this runs at every first start.
    frames = (count * _STRIDE + 1) * schedule.hop + schedule.lookahead
    stream.feed_audio(_head(sound, frames * clock.sample_rate // clock.frame_rate))
    while len(recorder.hops) < count and stream.next_chunk() is not None:
        pass
    return recorder.hops[:count]


def _stream(target: BuildTarget, step: HopStep) -> GestureStream:
    # With the threads of the stream that the recording is for.
    threads = torch.get_num_threads()
    return GestureStream(target.bundle, schedule=target.schedule, step=step, threads=threads)


def _head(sound: Path, samples: int) -> FloatArray:
    """The first `samples` of a file, or all of it."""
    source, blocks, length = WavSource(sound), [], 0
    for block in source.blocks():
        blocks.append(block.samples)
        length += len(block.samples)
        if length >= samples:
            break
    source.close()
    return np.concatenate(blocks)


def kernel_spec(target: BuildTarget, *, rows: int = 1) -> KernelSpec:
    """Shapes, options and calibration windows of a kernel for `rows` streams."""
    options = target.options
    return KernelSpec(
        window_shape(target.bundle, target.schedule, rows),
        options,
        # CudaGraphModule once even where they cannot be kept.
        functools.cache(lambda: batch_windows(_kept_windows(target, options.folder), rows)),
        fixed=target.schedule.files is None,
    )


def _kept_windows(target: BuildTarget, folder: Path | None) -> list[WindowInputs]:
    """Windows of speech; recorded once per model and schedule."""
    from safetensors import SafetensorError
    from safetensors.torch import load, save

    mark = hashlib.sha256(repr(target.schedule).encode()).hexdigest()[:8]
    path = folder and folder / f"speech_{mark}.safetensors"
    data = cache.read(path)
    if data is not None:
        with suppress(SafetensorError, KeyError, ValueError):
            kept = load(bytes(data))
            pieces = [torch.split(kept[name], 1) for name in WindowInputs._fields]
            return [WindowInputs(*tensors) for tensors in zip(*pieces, strict=True)]
    target.log("recording windows of speech ...")
    windows = record_windows(target, CALIBRATION_WINDOWS)
    joined = {n: torch.cat([getattr(w, n) for w in windows]) for n in WindowInputs._fields}
    cache.write(path, save(joined), target.log)
    return windows


def speech_hops(network: FusedStepModule, spec: KernelSpec) -> list[HopInputs]:
    """Hops of the calibration windows, with random codes before them."""
    generator = torch.Generator().manual_seed(0)
    return [
        network.draw(spec.shape, generator)._replace(window=window) for window in spec.samples()
    ]


def batch_windows(windows: Sequence[WindowInputs], rows: int) -> list[WindowInputs]:
    """The same windows in batches of `rows` different ones."""
    return [_join_windows(some) for some in _turns(windows, rows)]


def batch_hops(hops: Sequence[HopInputs], rows: int) -> list[HopInputs]:
    """The same hops in batches of `rows` different ones."""
    return [_join_hops(some) for some in _turns(hops, rows)]


def _turns(items: Sequence[_Item], rows: int) -> list[list[_Item]]:
    return [[items[(i + r) % len(items)] for r in range(rows)] for i in range(len(items))]


def _join_windows(windows: Sequence[WindowInputs]) -> WindowInputs:
    return WindowInputs(*(torch.cat(x) for x in zip(*windows, strict=True)))


def _join_hops(hops: Sequence[HopInputs]) -> HopInputs:
    noises = [hop.noise for hop in hops if hop.noise is not None]
    return HopInputs(
        _join_windows([hop.window for hop in hops]),
        torch.cat([hop.history for hop in hops]),
        torch.cat(noises) if noises else None,
    )
