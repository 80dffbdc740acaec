"""Kernels by name: a backend makes the graph ready, and parity with the eager kernel lets it in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import torch
from torch import nn

from engine.errors import KernelError
from engine.kernels.compiled import CompileBackend
from engine.kernels.cudagraph import CudaGraphBackend
from engine.kernels.eager import EagerKernel
from engine.kernels.graph import Backend, Precision, Run, Settings, Tensors
from engine.kernels.onnx import OnnxBackend
from engine.kernels.openvino import OpenVinoBackend
from engine.kernels.parity import require_parity
from engine.kernels.tensorrt import TensorRtBackend
from engine.kernels.verify import admitted
from engine.kernels.window_graph import GraphKernel, WindowShape, draw_window, window_graph
from engine.model.types import Kernel, WindowInputs

BACKEND_NAMES: Final = (
    *("compile", "cudagraph", "cudagraph-fp16", "tensorrt", "tensorrt-fp16"),
    *("openvino", "openvino-bf16", "openvino-int8", "onnx"),
)
KERNEL_NAMES: Final = (EagerKernel.name, *BACKEND_NAMES)
_COMPARED: Final = 4  # one in so many real windows; the others say how far values reach
_Input = TypeVar("_Input")
_DRAWS: Final = 3  # of which the second and third would show old buffers played again


@dataclass(frozen=True)
class Request:
    """What a backend must know to make a kernel of a model.

    shape: of all windows. samples: real windows for 8 bits, most to calibrate on and every fourth
    to compare on; recorded only when asked for. fixed: no window will have another shape.
    """

    shape: WindowShape
    settings: Settings = field(default_factory=Settings)
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


def make_kernel(name: str, model: nn.Module, request: Request | None = None) -> Kernel:
    """The kernel called `name` for `model`, which has shown here that it matches the eager one.

    request: needed by all kernels but eager. Raises KernelError for an unknown kernel, one that
    cannot run here (MissingBackendError if its library is missing), or one that does not match.
    """
    eager = EagerKernel(model, None if request is None else request.shape.newest)
    if name == eager.name:
        return eager
    chosen = backend(name)
    if request is None:
        raise KernelError(f"kernel {name} needs to know its windows' shapes; only eager does not")
    graph = window_graph(model, request.shape)
    graph = replace(graph, samples=lambda: [tuple(x) for x in to_calibrate(request.samples())])

    def kernel(run: Run) -> GraphKernel:
        return GraphKernel(chosen.name, run, graph, None if request.fixed else eager)

    def compare(run: Run) -> list[Tensors]:
        windows = _windows(chosen, request)
        require_parity(kernel(run), eager, windows, chosen.precision)
        return [tuple(window) for window in windows]

    settings = request.settings
    return kernel(
        admitted(lambda kept: chosen.prepare(graph, kept), compare, graph, settings, chosen.name)
    )


def to_calibrate(real: Sequence[_Input]) -> list[_Input]:
    """Of real windows or hops those that 8 bits are calibrated on."""
    return [one for i, one in enumerate(real) if i % _COMPARED != 1]


def to_compare(real: Sequence[_Input]) -> list[_Input]:
    """The others, on which they must hold."""
    return list(real[1::_COMPARED])


def _windows(chosen: Backend, request: Request) -> Sequence[WindowInputs]:
    """Random windows with a new seed; speech for int8, which is calibrated on speech."""
    if chosen.precision is Precision.INT8:
        return to_compare(request.samples())
    generator = torch.Generator()
    generator.seed()
    return [draw_window(request.shape, generator) for _ in range(_DRAWS)]
