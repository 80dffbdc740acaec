"""Kernels by name: a backend compiles the window graph, which is verified before use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import torch
from torch import nn

from engine.errors import KernelError
from engine.kernels.compiled import CompileBackend
from engine.kernels.cudagraph import CudaGraphBackend
from engine.kernels.eager import EagerKernel
from engine.kernels.graph import Backend, BuildOptions, Executable, Precision, Tensors
from engine.kernels.onnx import OnnxBackend
from engine.kernels.openvino import OpenVinoBackend
from engine.kernels.parity import measure, require
from engine.kernels.tensorrt import TensorRtBackend
from engine.kernels.verify import build_verified
from engine.kernels.window_graph import CompiledKernel, WindowShape, draw_window, window_graph
from engine.model.types import Kernel, WindowInputs

BACKEND_NAMES: Final = (
    *("compile", "cudagraph", "cudagraph-fp16", "tensorrt", "tensorrt-fp16"),
    *("openvino", "openvino-bf16", "openvino-int8", "onnx"),
)
KERNEL_NAMES: Final = (EagerKernel.name, *BACKEND_NAMES)
_COMPARED_EVERY: Final = 4
_Input = TypeVar("_Input")
_DRAWS: Final = 3  # more than one, see `engine.kernels.parity`


@dataclass(frozen=True)
class KernelSpec:
    """Requirements of a kernel.

    Attributes:
        shape: of all windows.
        options: threads, cache folder and log of the backend.
        samples: recorded windows for int8, most for calibration and every fourth for the
            comparison; called only where they are needed.
        fixed: whether no window has another shape.

    """

    shape: WindowShape
    options: BuildOptions = field(default_factory=BuildOptions)
    samples: Callable[[], Sequence[WindowInputs]] = tuple
    fixed: bool = False


def backend(name: str) -> Backend:
    """The backend called `name`; KernelError for an unknown one."""
    backends: list[Backend] = [CompileBackend(), OnnxBackend()]
    backends += [CudaGraphBackend(p) for p in (Precision.FP32, Precision.FP16)]
    backends += [TensorRtBackend(p) for p in (Precision.FP32, Precision.FP16)]
    backends += [OpenVinoBackend(p) for p in (Precision.FP32, Precision.BF16, Precision.INT8)]
    made = {found.name: found for found in backends}
    if name not in made:
        raise KernelError(f"unknown kernel {name!r}; expected one of {', '.join(KERNEL_NAMES)}")
    return made[name]


def make_kernel(name: str, model: nn.Module, spec: KernelSpec | None = None) -> Kernel:
    """The kernel called `name` for `model`, verified against the eager one.

    spec: needed by all kernels but eager. Raises KernelError for an unknown kernel, one that cannot
    run here (MissingBackendError if its library is missing), or one that does not match.
    """
    eager = EagerKernel(model, None if spec is None else spec.shape.newest)
    if name == eager.name:
        return eager
    chosen = backend(name)
    if spec is None:
        raise KernelError(f"kernel {name} needs the shapes of its windows; only eager does not")
    graph = window_graph(model, spec.shape)
    graph = replace(graph, samples=lambda: [tuple(x) for x in to_calibrate(spec.samples())])

    def kernel(run: Executable) -> CompiledKernel:
        return CompiledKernel(chosen.name, run, graph, None if spec.fixed else eager)

    def compare(run: Executable) -> list[Tensors]:
        windows = _windows(chosen, spec)
        require(f"kernel {name}", measure(kernel(run), eager, windows), chosen.precision)
        return [tuple(window) for window in windows]

    return kernel(build_verified(chosen, graph, spec.options, compare))


def to_calibrate(recorded: Sequence[_Input]) -> list[_Input]:
    """The recorded inputs for int8 calibration, three of four."""
    return [each for i, each in enumerate(recorded) if i % _COMPARED_EVERY != 1]


def to_compare(recorded: Sequence[_Input]) -> list[_Input]:
    """The recorded inputs for the comparison, one of four."""
    return list(recorded[1::_COMPARED_EVERY])


def _windows(chosen: Backend, spec: KernelSpec) -> Sequence[WindowInputs]:
    """Windows for the comparison: random, but speech for int8, which is calibrated on speech."""
    if chosen.precision is Precision.INT8:
        return to_compare(spec.samples())
    generator = torch.Generator()
    generator.seed()
    return [draw_window(spec.shape, generator) for _ in range(_DRAWS)]
