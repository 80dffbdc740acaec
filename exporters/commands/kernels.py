"""A kernel for a model on this machine: its shapes, real windows for it, and its kept files.

Knows bundles, the demo clip and the user's cache directory, none of which the backends know.

Kept under `kernels` in the cache folder (`engine.system.cache.cache_folder`): one folder a model,
named by a hash of its configuration, its weights and the sources of our networks; in it the
converted graphs, where they have matched, and what `auto` chose on which machine with which
versions. All of it may be deleted; what cannot be read is made again.
"""

import functools
import hashlib
import json
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import numpy as np
import torch

from engine import model as model_package
from engine.audio.source import WavSource
from engine.bundle.io import Bundle, without_network
from engine.config.model import FrontEnd
from engine.config.serialize import to_mapping
from engine.errors import KernelError
from engine.generate import decoder as decoder_module
from engine.generate import sampling
from engine.generate import step as step_module
from engine.generate.decoder import Decoder
from engine.generate.schedule import Schedule
from engine.generate.step import HopStep
from engine.kernels import cached_step as recall_step
from engine.kernels import encoder_cache as recall
from engine.kernels import fused_step as step_graph
from engine.kernels import window_graph as flat
from engine.kernels.compiled_decoder import graph_decoder
from engine.kernels.eager import EagerKernel
from engine.kernels.encoder_cache import plan, recalling_kernel, shifts
from engine.kernels.from_bundle import pose_decoder, staged_step, window_ends, window_shape
from engine.kernels.graph import Settings
from engine.kernels.registry import Request, backend, make_kernel
from engine.model.fuse import lean
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.motion import rotation
from engine.postprocess.chain import PostProcessConfig
from engine.stream.stream import GestureStream
from engine.system import cache
from engine.system.threads import graph_threads
from engine.text.files import read_words
from exporters.commands.memory import PageOut

CLIP: Final = Path(__file__).parent / "assets" / "demo.flac"
CLIP_WORDS: Final = Path(__file__).parent / "assets" / "demo.tsv"
CALIBRATION_WINDOWS: Final = 128
_APART: Final = 4  # hops at most between windows, as a large model takes its time for each
_RECALLING: Final = ("openvino", "openvino-bf16", "openvino-int8", "onnx")
"""Kernels of processors. On a GPU what is saved is less than another launch takes."""
_LIBRARIES: Final = ("torch", "openvino", "onnxruntime", "nncf", "torch-tensorrt")

Say = Callable[[str], None]


class Recorder:
    """A kernel that keeps every `every`th window that it is shown."""

    def __init__(self, kernel: Kernel, every: int = 1) -> None:
        self.name = kernel.name
        self.windows: list[WindowInputs] = []
        self._kernel = kernel
        self._every = every
        self._count = 0

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window."""
        if self._count % self._every == 0:
            self.windows.append(WindowInputs(*(tensor.clone() for tensor in inputs)))
        self._count += 1
        return self._kernel(inputs)


def real_windows(
    bundle: Bundle,
    schedule: Schedule,
    count: int,
    sound: Path = CLIP,
    words: Path = CLIP_WORDS,
    *,
    apart: int = _APART,
) -> list[WindowInputs]:
    """`count` windows at most of a clip of real speech, as the live stream shows them.

    apart: hops at most from one to the next.
    """
    samples = np.concatenate([block.samples for block in WavSource(sound).blocks()])
    config = bundle.config
    hops = len(samples) * config.clock.frame_rate // (config.clock.sample_rate * schedule.hop)
    every = min(max(1, hops // count), apart)
    recorder = Recorder(EagerKernel(lean(bundle.gesture), schedule.newest), every)
    threads = torch.get_num_threads()  # those of the stream that this is recorded for
    stream = GestureStream(
        bundle,
        schedule=schedule,
        step=staged_step(bundle, schedule, kernel=recorder),
        threads=threads,
    )
    stream.feed_words(read_words(words))
    stream.feed_audio(samples)
    while len(recorder.windows) < count and stream.next_chunk() is not None:
        pass
    return recorder.windows[:count]


# -- what is kept ------------------------------------------------------------------------------


def model_folder(bundle: Bundle) -> Path | None:
    """The folder of what is kept of `bundle`; None where there is no place.

    Settings of what is added to its poses change no graph.
    """
    place = cache.cache_folder()
    return None if place is None else place / "kernels" / _fingerprint(bundle)


def _fingerprint(bundle: Bundle) -> str:
    """Of everything that a graph of `bundle` is made of."""
    config = replace(bundle.config, postprocess=PostProcessConfig())
    digest = hashlib.sha256(json.dumps(to_mapping(config), sort_keys=True).encode())
    networks = sorted(Path(str(model_package.__file__)).parent.glob("*.py"))
    around = (
        decoder_module,
        flat,
        recall,
        recall_step,
        rotation,
        sampling,
        step_module,
        step_graph,
    )
    for source in (*networks, *(Path(str(module.__file__)) for module in around)):
        digest.update(source.read_bytes())
    page_out = PageOut()
    for key, module in bundle.modules().items():
        for name, tensor in module.state_dict().items():
            digest.update(f"{key}.{name}".encode())
            digest.update(tensor.contiguous().numpy().data)
            page_out(tensor)
    return digest.hexdigest()[:16]


def machine() -> str:
    """What a choice of kernel depends on beside the model: processor, GPU, versions."""
    found = [platform.machine(), _processor(), str(os.cpu_count())]
    if torch.cuda.is_available():
        found.append(torch.cuda.get_device_name())
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


# -- making one --------------------------------------------------------------------------------


def graph_settings(bundle: Bundle, say: Say) -> Settings:
    """Where a backend keeps what it makes of `bundle`; threads: see `engine.system.threads`."""
    folder = model_folder(bundle)
    if folder is None:
        cache.note_unkept(None, "no home folder; set XDG_CACHE_HOME", say)
    return Settings(graph_threads(bundle.gesture), folder, say, machine())


def kernel_request(bundle: Bundle, schedule: Schedule, say: Say, *, rows: int = 1) -> Request:
    """What any backend needs to make a kernel of `bundle`; threads: see `engine.system.threads`."""
    settings = graph_settings(bundle, say)
    return Request(
        window_shape(bundle, schedule, rows),
        settings,
        # Recorded once even where they cannot be kept.
        functools.cache(lambda: batched(kept_windows(bundle, schedule, settings), rows)),
        fixed=schedule.files is None,
    )


def batched(windows: Sequence[WindowInputs], rows: int) -> list[WindowInputs]:
    """The same windows in batches of `rows`, each row another one."""
    turned = [[windows[(i + r) % len(windows)] for r in range(rows)] for i in range(len(windows))]
    return [WindowInputs(*(torch.cat(x) for x in zip(*some, strict=True))) for some in turned]


def kept_windows(bundle: Bundle, schedule: Schedule, settings: Settings) -> list[WindowInputs]:
    """Windows of real speech; recorded once a model and schedule."""
    from safetensors import SafetensorError
    from safetensors.torch import load, save

    mark = hashlib.sha256(repr(schedule).encode()).hexdigest()[:8]
    path = settings.folder and settings.folder / f"speech_{mark}.safetensors"
    data = cache.read(path)
    if data is not None:
        with suppress(SafetensorError, KeyError, ValueError):
            kept = load(bytes(data))
            pieces = [torch.split(kept[name], 1) for name in WindowInputs._fields]
            return [WindowInputs(*tensors) for tensors in zip(*pieces, strict=True)]
    settings.say("recording windows of speech ...")
    windows = real_windows(bundle, schedule, CALIBRATION_WINDOWS)
    joined = {n: torch.cat([getattr(w, n) for w in windows]) for n in WindowInputs._fields}
    settings.write(path, save(joined))
    return windows


def made_kernel(name: str, bundle: Bundle, schedule: Schedule, say: Say) -> Kernel:
    """The kernel called `name`, which matches the eager one; raises as `make_kernel`."""
    if name == EagerKernel.name:
        return EagerKernel(lean(bundle.gesture), schedule.newest)
    return live_kernel(name, bundle, schedule, kernel_request(bundle, schedule, say))


def live_kernel(name: str, bundle: Bundle, schedule: Schedule, request: Request) -> Kernel:
    """The kernel called `name` for the windows of one stream: one that does not hear twice, where
    that is possible and quicker. Raises as `make_kernel`.
    """
    model = lean(bundle.gesture)
    if recalls(name, bundle, schedule):
        recalling = recalling_kernel(name, model, request, moved(bundle, schedule))
        if recalling is not None:
            return recalling
    return make_kernel(name, model, request)


def recalls(name: str, bundle: Bundle, schedule: Schedule) -> bool:
    """Whether kernels of this name keep what they heard, with windows of this schedule."""
    hears = bundle.config.front_end is FrontEnd.WAVE and schedule.files is None
    if name not in _RECALLING or not hears:
        return False
    entries = window_shape(bundle, schedule).entries
    return plan(entries, moved(bundle, schedule)) is not None


def moved(bundle: Bundle, schedule: Schedule) -> tuple[int, ...]:
    """By how many samples the windows of hops that follow each other move on."""
    return shifts(schedule.hop, window_ends(bundle))


def spared(step: HopStep, bundle: Bundle) -> Bundle:
    """The bundle without the weights that `step` has in a form of its own: they may be freed."""
    return bundle if step.name == EagerKernel.name else without_network(bundle)


def ready_decoder(kernel: Kernel, bundle: Bundle, schedule: Schedule, say: Say) -> Decoder:
    """The decoder that goes with a kernel: by its backend, in whole precision; else eager.

    In half precision poses are tenths off, and there is little to save: it is the calling of many
    small products that costs.
    """
    decoder, family = pose_decoder(bundle), kernel.name.split("-")[0]
    if family == EagerKernel.name or schedule.files is not None:
        return decoder
    settings = graph_settings(bundle, say)
    try:
        return graph_decoder(decoder, backend(family), settings, schedule)
    except KernelError as error:
        say(f"note: {error}; decoding eager")
        return decoder
