"""The cudagraph kernels: a graph's launches recorded once and replayed, on a CUDA device.

At batch 1 on a large GPU, launching hundreds of small kernels takes most of a step; a replay
launches them as one. Needs no package beyond PyTorch.
"""

import copy
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from engine.errors import KernelError
from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision, Tensors

_WARM_UP: Final = 3  # cuBLAS and the allocator settle before anything is recorded

Compute = Callable[[], Tensors]
Record = Callable[[Compute], tuple[Tensors, Callable[[], object]]]
"""Records all launches of a function on a device. Returns its results and a replay, which reads and
writes the same memory as the recorded run."""


class CudaGraphBackend:
    """CUDA graphs in fp32, or with weights and activations in fp16."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.name = "cudagraph" if precision is Precision.FP32 else f"cudagraph-{precision}"

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        """Record the graph on the current CUDA device."""
        if not torch.cuda.is_available():
            raise KernelError(
                f"{self.name} needs a CUDA device and PyTorch finds none; use eager, compile or "
                "openvino on a CPU"
            )
        options.log(f"recording {graph.name} on {torch.cuda.get_device_name()} ...")
        try:
            return CudaGraphModule(graph, torch.device("cuda"), self.precision, _record)
        except RuntimeError as error:  # of CUDA, cuDNN or the allocator
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise KernelError(f"{self.name} cannot record {graph.name}: {reason}") from error


def _record(compute: Compute) -> tuple[Tensors, Callable[[], object]]:
    """A CUDA graph of `compute`."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    # By default cuDNN would compute fp32 products in TF32, with 10-bit mantissas.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                compute()
        torch.cuda.current_stream().wait_stream(side)
        recording = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recording):
            outputs = compute()
    return outputs, recording.replay


class CudaGraphModule:
    """A graph with static buffers on `device`; a call copies in, replays and copies out.

    precision: FP16 computes `GraphSpec.fp16_modules` in fp16 and all else in fp32.
    """

    def __init__(
        self, graph: GraphSpec, device: torch.device, precision: Precision, record: Record
    ) -> None:
        module = copy.deepcopy(graph.module).to(device)
        if precision is Precision.FP16:
            module = _with_half(module, graph.fp16_modules)
        self._device = device
        self._module = module  # keeps the weights that the recording reads
        self._inputs = tuple(tensor.to(device, copy=True) for tensor in graph.example)
        with torch.no_grad():
            self._outputs, self._replay = record(lambda: tuple(module(*self._inputs)))

    def __call__(self, tensors: Tensors) -> Tensors:
        device = tensors[0].device
        with torch.no_grad():
            for buffer, tensor in zip(self._inputs, tensors, strict=True):
                buffer.copy_(tensor, non_blocking=True)
            self._replay()
            # Copies, since the next replay overwrites these; all are started before waiting.
            found = tuple(x.to(device, non_blocking=True, copy=True) for x in self._outputs)
        if self._device.type == "cuda" and device.type != "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        return found


class _Half(nn.Module):
    """Computes a module in half precision, with fp32 inputs and outputs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.half()

    def forward(self, *tensors: Tensor) -> Tensor | Tensors:
        found = self.module(*(_cast(tensor, torch.float16) for tensor in tensors))
        if isinstance(found, Tensor):
            return _cast(found, torch.float32)
        return tuple(_cast(tensor, torch.float32) for tensor in found)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast floating-point tensors; word and code indices stay as they are."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _with_half(module: nn.Module, names: tuple[str, ...]) -> nn.Module:
    """Replace the named submodules by half-precision ones; the empty name is the module."""
    for name in names:
        half = _Half(module.get_submodule(name))
        if not name:
            return half
        above, _, own = name.rpartition(".")
        setattr(module.get_submodule(above), own, half)
    return module
