import pytest
import torch

from engine.errors import KernelError
from engine.kernels.cudagraph import CudaGraphBackend
from engine.kernels.graph import Precision, Settings
from tests.engine.kernels.graphs import other_inputs, small_graph


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_machine_without_a_gpu_is_told_so() -> None:
    with pytest.raises(KernelError, match="cudagraph-fp16 needs a CUDA device"):
        CudaGraphBackend(Precision.FP16).prepare(small_graph(), Settings())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_replays_follow_their_inputs() -> None:
    graph = small_graph()
    run = CudaGraphBackend(Precision.FP32).prepare(graph, Settings())
    first = run(graph.example)
    second = run(other_inputs())
    torch.testing.assert_close(second, graph.module(*other_inputs()), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(first, graph.module(*graph.example), atol=1e-3, rtol=1e-3)
