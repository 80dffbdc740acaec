"""CudaGraphModule graphs. Without a GPU they are recorded by `tests.support.tape`."""

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
def test_a_machine_without_a_gpu_is_told_so() -> None:
    with pytest.raises(KernelError, match="cudagraph-fp16 needs a CUDA device"):
        CudaGraphBackend(Precision.FP16).prepare(small_graph(), BuildOptions())


def test_what_cannot_be_recorded_is_a_kernels_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "none")
    if torch.version.cuda is None:  # PyTorch without CUDA says so with other types of errors too
        monkeypatch.setattr("engine.kernels.cudagraph.Recorded", _refused)
    with pytest.raises(KernelError, match="cudagraph cannot record sums: not permitted"):
        CudaGraphBackend(Precision.FP32).prepare(small_graph(), BuildOptions())


def _refused(*_: object) -> None:
    raise RuntimeError("not permitted when stream is capturing\nand more")


def check_replays(graph: GraphSpec, run: CudaGraphModule) -> None:
    first = run(graph.example)
    second = run(other_inputs())
    torch.testing.assert_close(second, graph.module(*other_inputs()), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(first, graph.module(*graph.example), atol=1e-3, rtol=1e-3)


def test_what_is_played_back_follows_its_inputs() -> None:
    check_replays(graph := small_graph(), CudaGraphModule(graph, CPU, Precision.FP32, record))


def test_half_precision_computes_in_half_what_may_be() -> None:
    for names, off in ((("",), True), (("linear",), True), ((), False)):
        graph = dataclasses.replace(small_graph(), fp16_modules=names)
        shown = (torch.full((2, 4), 1.0 / 3.0), torch.tensor([2, 1]))
        y, total = CudaGraphModule(graph, CPU, Precision.FP16, record)(shown)
        expected, _ = graph.module(*shown)
        assert y.dtype == total.dtype == torch.float32
        assert bool((y != expected).any()) == off
        torch.testing.assert_close(y, expected, atol=1e-2, rtol=1e-2)
    assert next(graph.module.parameters()).dtype == torch.float32


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_the_transformer_can_be_recorded(precision: Precision) -> None:
    graph, tolerance = tiny_graph(samples=1), 1e-5 if precision is Precision.FP32 else 2e-2
    run = CudaGraphModule(graph, CPU, precision, record)
    for shown in (graph.example, *graph.samples()):
        for ours, theirs in zip(run(shown), graph.module(*shown), strict=True):
            torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)


@pytest.mark.gpu
def test_replays_follow_their_inputs() -> None:
    check_replays(
        graph := small_graph(), CudaGraphBackend(Precision.FP32).prepare(graph, BuildOptions())
    )
