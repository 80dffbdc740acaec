"""Steps by kernel name: one compiled graph of a hop, or kernel and decoder as separate graphs."""

from typing import Final

from engine.bundle.io import Bundle, without_network
from engine.config.model import FrontEnd
from engine.errors import KernelError, MissingBackendError
from engine.generate.decoder import Decoder
from engine.generate.step import HopStep, StagedStep
from engine.kernels.build_target import BuildTarget
from engine.kernels.cached_step import recalling_step
from engine.kernels.compiled_decoder import graph_decoder
from engine.kernels.eager import EagerKernel
from engine.kernels.encoder_cache import plan, recalling_kernel, shifts
from engine.kernels.from_bundle import (
    eager_kernel,
    pose_decoder,
    staged_step,
    step_network,
    window_ends,
    window_shape,
)
from engine.kernels.fused_step import HopInputs, graph_step
from engine.kernels.graph import Precision
from engine.kernels.registry import Request, backend, make_kernel
from engine.model.fuse import lean
from engine.model.types import Kernel
from engine.stream.calibration import batch_hops, kernel_request, record_hops, speech_hops

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
    decoder are separate graphs, and one line says why.
    """
    refused = ""
    if _is_fused(name, target):
        try:
            return fused_step(name, target)
        except MissingBackendError:
            raise
        except KernelError as error:
            refused = f"note: {error}; falling back to separate transformer and decoder graphs"
    kernel = build_kernel(name, target)
    if refused:
        target.log(refused)
    return _staged(kernel, target)


def step_of(kernel: Kernel, target: BuildTarget) -> HopStep:
    """The same for a kernel that exists."""
    if _is_fused(kernel.name, target):
        try:
            return fused_step(kernel.name, target)
        except KernelError as error:
            target.log(f"note: {error}; falling back to separate transformer and decoder graphs")
    return _staged(kernel, target)


def fused_step(kernel: str, target: BuildTarget, *, rows: int = 1) -> HopStep:
    """A hop of `rows` streams as one graph, with a cache of encoder activations where possible.

    Raises as `graph_step`.
    """
    network = step_network(target.bundle, target.schedule)
    request = kernel_request(target, rows=rows)

    def real() -> list[HopInputs]:
        if backend(kernel).precision is Precision.INT8:  # needs many, for the calibration
            return speech_hops(network, request)
        return batch_hops(record_hops(target, _REAL_HOPS), rows)[: -(-_REAL_HOPS // rows)]

    if rows == 1 and supports_encoder_cache(kernel, target):
        step = recalling_step(kernel, network, request, hop_offsets(target), real)
        if step is not None:
            return step
    return graph_step(network, request.shape, backend(kernel), request.settings, real)


def build_kernel(name: str, target: BuildTarget) -> Kernel:
    """The kernel called `name`, verified against the eager one; raises as `make_kernel`."""
    if name == EagerKernel.name:
        return eager_kernel(target.bundle, target.schedule)
    return live_kernel(name, target, kernel_request(target))


def live_kernel(name: str, target: BuildTarget, request: Request) -> Kernel:
    """The kernel called `name` for one stream, with a cache of encoder activations where possible.

    Raises as `make_kernel`.
    """
    model = lean(target.bundle.gesture)
    if supports_encoder_cache(name, target):
        kernel = recalling_kernel(name, model, request, hop_offsets(target))
        if kernel is not None:
            return kernel
    return make_kernel(name, model, request)


def supports_encoder_cache(name: str, target: BuildTarget) -> bool:
    """Whether kernels of this name cache encoder activations with windows of this schedule."""
    is_wave = target.bundle.config.front_end is FrontEnd.WAVE and target.schedule.files is None
    if name not in _CACHING or not is_wave:
        return False
    entries = window_shape(target.bundle, target.schedule).entries
    return plan(entries, hop_offsets(target)) is not None


def hop_offsets(target: BuildTarget) -> tuple[int, ...]:
    """Distances in samples between the windows of successive hops."""
    return shifts(target.schedule.hop, window_ends(target.bundle))


def drop_network_weights(step: HopStep, bundle: Bundle) -> Bundle:
    """The bundle without the weights that `step` holds in its own form, so that they are freed."""
    return bundle if step.name == EagerKernel.name else without_network(bundle)


def _is_fused(name: str, target: BuildTarget) -> bool:
    return name in FUSED_BACKENDS and target.schedule.files is None


def _staged(kernel: Kernel, target: BuildTarget) -> StagedStep:
    decoder = _decoder_for(kernel, target)
    return staged_step(target.bundle, target.schedule, kernel=kernel, decoder=decoder)


def _decoder_for(kernel: Kernel, target: BuildTarget) -> Decoder:
    """The decoder for a kernel: by its backend in full precision, else eager.

    In half precision poses would be tenths of a radian off, and little is saved: the cost is in the
    calls of many small products.
    """
    decoder, family = pose_decoder(target.bundle), kernel.name.split("-")[0]
    if family == EagerKernel.name or target.schedule.files is not None:
        return decoder
    try:
        return graph_decoder(decoder, backend(family), target.options, target.schedule)
    except KernelError as error:
        target.log(f"note: {error}; decoding eager")
        return decoder
