"""Steps by kernel name: one compiled graph of a hop, or kernel and decoder as separate graphs."""

from typing import Final

from engine.bundle.io import Bundle, without_network
from engine.config.model import FrontEnd
from engine.errors import KernelError, MissingBackendError
from engine.generate.decoder import Decoder
from engine.generate.step import HopStep
from engine.kernels.build_target import BuildTarget
from engine.kernels.cached_step import CachedEncoderStep
from engine.kernels.compiled_decoder import compile_decoder
from engine.kernels.eager import EagerKernel
from engine.kernels.encoder_cache import (
    SplitModel,
    encode_window,
    hop_offsets,
    plan_cache,
    split_for_cache,
)
from engine.kernels.from_bundle import (
    fused_module,
    pose_decoder,
    staged_step,
    window_ends,
    window_shape,
)
from engine.kernels.fused_step import FusedStepModule, HopInputs, compile_step
from engine.kernels.graph import Precision
from engine.kernels.registry import KernelSpec, backend, make_kernel
from engine.model.fuse import fuse_for_inference
from engine.model.types import Kernel
from engine.stream.calibration import batch_hops, kernel_spec, record_hops, speech_hops

FUSED_BACKENDS: Final = ("cudagraph", "cudagraph-fp16", "openvino", "openvino-int8")
"""Kernels that compute a hop as one graph.

A GPU waits for launches between two recordings; OpenVINO takes a tenth less for a hop of a small
bundle. OpenVINO's bf16 is left out: codes and poses would have that precision too.
"""
_CACHING: Final = ("openvino", "openvino-bf16", "openvino-int8", "onnx")
"""Kernels with a cache of encoder activations. On a GPU it saves less than a launch takes."""
_REAL_HOPS: Final = 4


def build_step(name: str, target: BuildTarget) -> HopStep:
    """The step of the kernel called `name`; MissingBackendError where its library is missing.

    One graph for `FUSED_BACKENDS`. Where that cannot be built or does not match, transformer and
    decoder are separate graphs, and one line says why. Raises as `make_kernel`.
    """
    refused = ""
    if name in FUSED_BACKENDS and target.schedule.files is None:
        try:
            return fused_step(name, target)
        except MissingBackendError:
            raise
        except KernelError as error:
            refused = f"note: {error}; falling back to separate transformer and decoder graphs"
    step = _separate_graphs(name, target)
    if refused:
        target.log(refused)
    return step


def fused_step(name: str, target: BuildTarget, *, rows: int = 1) -> HopStep:
    """A hop of `rows` streams as one graph, with a cache of encoder activations where possible.

    Raises as `compile_step`.
    """
    network = fused_module(target.bundle, target.schedule)
    spec = kernel_spec(target, rows=rows)

    def real() -> list[HopInputs]:
        if backend(name).precision is Precision.INT8:  # needs many, for the calibration
            return speech_hops(network, spec)
        return batch_hops(record_hops(target, _REAL_HOPS), rows)[: -(-_REAL_HOPS // rows)]

    split = _split(name, target, spec)
    if split is None:
        return compile_step(network, spec.shape, backend(name), spec.options, real)
    tail = FusedStepModule(split.tail, network.newest, network.sampler, network.decoder)

    def encoded() -> list[HopInputs]:
        return [hop._replace(window=encode_window(split.stem, hop.window)) for hop in real()]

    shape = split.spec.shape
    step = compile_step(tail, shape, backend(name), spec.options, encoded)
    return CachedEncoderStep(split.cache, step)


def _separate_graphs(name: str, target: BuildTarget) -> HopStep:
    """Kernel and decoder as separate graphs, with a cache of encoder activations where possible."""
    bundle, schedule = target.bundle, target.schedule
    if name == EagerKernel.name:
        return staged_step(bundle, schedule)
    spec = kernel_spec(target)
    split = _split(name, target, spec)
    model, spec = (
        (fuse_for_inference(bundle.gesture), spec) if split is None else (split.tail, split.spec)
    )
    kernel = make_kernel(name, model, spec)
    step = staged_step(bundle, schedule, kernel=kernel, decoder=_decoder_for(kernel, target))
    return step if split is None else CachedEncoderStep(split.cache, step)


def _split(name: str, target: BuildTarget, spec: KernelSpec) -> SplitModel | None:
    """Encoder stem and remaining model for a cache; None where there is no cache."""
    if not supports_encoder_cache(name, target):
        return None
    return split_for_cache(name, fuse_for_inference(target.bundle.gesture), spec, _offsets(target))


def supports_encoder_cache(name: str, target: BuildTarget) -> bool:
    """Whether steps of this name cache encoder activations with windows of this schedule."""
    is_wave = target.bundle.config.front_end is FrontEnd.WAVE and target.schedule.files is None
    if name not in _CACHING or not is_wave:
        return False
    entries = window_shape(target.bundle, target.schedule).audio_steps
    return plan_cache(entries, _offsets(target)) is not None


def _offsets(target: BuildTarget) -> tuple[int, ...]:
    return hop_offsets(target.schedule.hop, window_ends(target.bundle))


def drop_network_weights(step: HopStep, bundle: Bundle) -> Bundle:
    """The bundle without the weights that `step` holds in its own form, so that they are freed."""
    return bundle if step.name == EagerKernel.name else without_network(bundle)


def _decoder_for(kernel: Kernel, target: BuildTarget) -> Decoder:
    """The decoder for a kernel: by its backend in full precision, else eager.

    In half precision poses would be tenths of a radian off, and little is saved: the cost is in the
    calls of many small products.
    """
    decoder, family = pose_decoder(target.bundle), kernel.name.split("-")[0]
    if family == EagerKernel.name or target.schedule.files is not None:
        return decoder
    try:
        return compile_decoder(decoder, backend(family), target.options, target.schedule)
    except KernelError as error:
        target.log(f"note: {error}; decoding eager")
        return decoder
