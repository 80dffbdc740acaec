"""CudaGraphModule graphs; without a GPU they are captured by `tests.support.tape`."""

import dataclasses

import pytest
import torch

from engine.errors import KernelError
from engine.kernels.cudagraph import CudaGraphBackend, CudaGraphModule
from engine.kernels.graph import BuildOptions, GraphSpec, Precision
from tests.support.graphs import other_inputs, small_graph, tiny_graph
from tests.support.tape import record

CPU = torch.device("cpu")


@pytest.mark.no_gpu
def test_a_missing_gpu_is_reported() -> None:
    with pytest.raises(KernelError, match="cudagraph-fp16 needs a CUDA device"):
        CudaGraphBackend(Precision.FP16).prepare(small_graph(), BuildOptions())


def test_a_failed_capture_is_a_kernel_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "none")
    if torch.version.cuda is None:  # PyTorch without CUDA raises other error types
        monkeypatch.setattr("engine.kernels.cudagraph.CudaGraphModule", _refused)
    with pytest.raises(KernelError, match="cudagraph cannot record sums: not permitted"):
        CudaGraphBackend(Precision.FP32).prepare(small_graph(), BuildOptions())


def _refused(*_: object) -> None:
    raise RuntimeError("not permitted when stream is capturing\nand more")


def check_replays(graph: GraphSpec, run: CudaGraphModule) -> None:
    first = run(graph.example)
    second = run(other_inputs())
    torch.testing.assert_close(second, graph.module(*other_inputs()), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(first, graph.module(*graph.example), atol=1e-3, rtol=1e-3)


def test_replayed_graphs_follow_their_inputs() -> None:
    check_replays(graph := small_graph(), CudaGraphModule(graph, CPU, Precision.FP32, record))


def test_half_precision_is_limited_to_named_modules() -> None:
    for names, differs in ((("",), True), (("linear",), True), ((), False)):
        graph = dataclasses.replace(small_graph(), fp16_modules=names)
        inputs = (torch.full((2, 4), 1.0 / 3.0), torch.tensor([2, 1]))
        y, total = CudaGraphModule(graph, CPU, Precision.FP16, record)(inputs)
        expected, _ = graph.module(*inputs)
        assert y.dtype == total.dtype == torch.float32
        assert bool((y != expected).any()) == differs
        torch.testing.assert_close(y, expected, atol=1e-2, rtol=1e-2)
    assert next(graph.module.parameters()).dtype == torch.float32


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_the_transformer_can_be_captured(precision: Precision) -> None:
    graph, tolerance = tiny_graph(samples=1), 1e-5 if precision is Precision.FP32 else 2e-2
    run = CudaGraphModule(graph, CPU, precision, record)
    for inputs in (graph.example, *graph.samples()):
        for actual, expected in zip(run(inputs), graph.module(*inputs), strict=True):
            torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.gpu
def test_graphs_on_a_gpu_follow_their_inputs() -> None:
    check_replays(
        graph := small_graph(), CudaGraphBackend(Precision.FP32).prepare(graph, BuildOptions())
    )
