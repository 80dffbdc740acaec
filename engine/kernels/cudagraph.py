"""The cudagraph kernels: a graph's launches recorded once and replayed, on a CUDA device.

At batch 1 a step's time on a large GPU is that of launching hundreds of small kernels; replayed,
they are launched as one. Needs no package beyond PyTorch.
"""

import copy
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from engine.errors import KernelError
from engine.kernels.graph import Graph, Precision, Run, Settings, Tensors

_WARM_UP: Final = 3  # cuBLAS and the allocator settle before anything is recorded

Compute = Callable[[], Tensors]
Record = Callable[[Compute], tuple[Tensors, Callable[[], object]]]
"""Has a device note all that a function launches. Gives the function's results, and what launches
the same again: it reads and writes the places that the recorded run has read and written."""


class CudaGraphBackend:
    """CUDA graphs in fp32, or with weights and activations in fp16."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.name = "cudagraph" if precision is Precision.FP32 else f"cudagraph-{precision}"

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        """The graph recorded on the current CUDA device."""
        if not torch.cuda.is_available():
            raise KernelError(
                f"{self.name} needs a CUDA device and PyTorch finds none; use eager, compile or "
                "openvino on a CPU"
            )
        settings.say(f"recording {graph.name} on {torch.cuda.get_device_name()} ...")
        try:
            return Recorded(graph, torch.device("cuda"), self.precision, _record)
        except RuntimeError as error:  # of CUDA, cuDNN or the allocator, which share no other base
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise KernelError(f"{self.name} cannot record {graph.name}: {reason}") from error


def _record(compute: Compute) -> tuple[Tensors, Callable[[], object]]:
    """A CUDA graph of `compute`."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    # fp32 is fp32: by itself cuDNN would round the factors of its products to 10 bits.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                compute()
        torch.cuda.current_stream().wait_stream(side)
        recording = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recording):
            outputs = compute()
    return outputs, recording.replay


class Recorded:
    """A graph with static buffers on `device`; a call copies in, replays and copies out.

    precision: FP16 computes in it what the graph lets it (`Graph.halved`), all else in fp32.
    """

    def __init__(
        self, graph: Graph, device: torch.device, precision: Precision, record: Record
    ) -> None:
        module = copy.deepcopy(graph.module).to(device)
        if precision is Precision.FP16:
            module = _halved(module, graph.halved)
        self._device = device
        self._module = module  # a recording does not keep the weights that it reads
        self._inputs = tuple(tensor.to(device, copy=True) for tensor in graph.example)
        with torch.no_grad():
            self._outputs, self._replay = record(lambda: tuple(module(*self._inputs)))

    def __call__(self, tensors: Tensors) -> Tensors:
        device = tensors[0].device
        with torch.no_grad():
            for buffer, tensor in zip(self._inputs, tensors, strict=True):
                buffer.copy_(tensor, non_blocking=True)
            self._replay()
            # Copies, as the next replay writes these again; all on their way before one is awaited.
            found = tuple(x.to(device, non_blocking=True, copy=True) for x in self._outputs)
        if self._device.type == "cuda" and device.type != "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        return found


class _Half(nn.Module):
    """A module of tensors computed in half precision, whose surroundings are not."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.half()

    def forward(self, *tensors: Tensor) -> Tensor | Tensors:
        found = self.module(*(_cast(tensor, torch.float16) for tensor in tensors))
        if isinstance(found, Tensor):
            return _cast(found, torch.float32)
        return tuple(_cast(tensor, torch.float32) for tensor in found)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Fractions alone: numbers of words and codes stay what they are."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _halved(module: nn.Module, names: tuple[str, ...]) -> nn.Module:
    """`module` with those of its submodules in half precision; the empty name is itself."""
    for name in names:
        half = _Half(module.get_submodule(name))
        if not name:
            return half
        above, _, own = name.rpartition(".")
        setattr(module.get_submodule(above), own, half)
    return module
