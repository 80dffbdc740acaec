"""The cudagraph kernels: a graph's launches recorded once and replayed, on a CUDA device.

At batch 1 a step's time on a large GPU is that of launching hundreds of small kernels; replayed,
they are launched as one. Needs no package beyond PyTorch.
"""

import copy

import torch

from engine.errors import KernelError
from engine.kernels.graph import Graph, Precision, Run, Settings, Tensors

_WARM_UP = 3  # cuBLAS and the allocator settle before anything is recorded


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
        dtype = torch.float16 if self.precision is Precision.FP16 else torch.float32
        return _Recorded(graph, dtype)


class _Recorded:
    """Static buffers on the device; a call copies in, replays and copies out."""

    def __init__(self, graph: Graph, dtype: torch.dtype) -> None:
        self._device = torch.device("cuda")
        self._module = copy.deepcopy(graph.module).to(self._device, dtype)
        self._inputs = [self._placed(tensor, dtype) for tensor in graph.example]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._module(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self._graph):
            self._outputs = tuple(x.float() for x in self._module(*self._inputs))

    def _placed(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        wanted = dtype if tensor.is_floating_point() else tensor.dtype
        return torch.empty_like(tensor, device=self._device, dtype=wanted).copy_(tensor)

    def __call__(self, tensors: Tensors) -> Tensors:
        device = tensors[0].device
        with torch.no_grad():
            for buffer, tensor in zip(self._inputs, tensors, strict=True):
                buffer.copy_(tensor, non_blocking=True)
            self._graph.replay()
            # Clones where the caller stays on the device: the next replay writes these again.
            return tuple(x.to(device, copy=True) for x in self._outputs)
