from pathlib import Path

import pytest
import torch

from engine.errors import MissingBackendError
from engine.kernels.graph import BuildOptions
from engine.kernels.onnx import OnnxBackend, open_onnx, write_onnx
from engine.system import cache
from tests.support.graphs import other_inputs, small_graph, tiny_graph


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingBackendError, match=r"pip install 'emage-live\[cpu\]'"):
        OnnxBackend().prepare(small_graph(), BuildOptions())


@pytest.mark.onnx
def test_a_graph_runs_as_the_model_does() -> None:
    graph = tiny_graph(samples=1)
    run = OnnxBackend().prepare(graph, BuildOptions())
    (sample,) = graph.samples()
    torch.testing.assert_close(run(sample), graph.module(*sample), atol=1e-4, rtol=1e-4)


@pytest.mark.onnx
def test_the_export_is_kept(tmp_path: Path) -> None:
    graph, told = small_graph(), list[str]()
    options = BuildOptions(folder=tmp_path, log=told.append)
    for _ in range(2):
        run = OnnxBackend().prepare(graph, options)
        torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
    assert len(told) == 1
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    for made, damaged in enumerate((whole[:-1], b"", whole[:50] + b"x" + whole[51:]), start=2):
        kept.write_bytes(damaged)
        run = OnnxBackend().prepare(graph, options)
        torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
        assert len(told) == made
    cache.write(kept, b"whole, and no graph", told.append)
    run = OnnxBackend().prepare(graph, options)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
    assert cache.read(kept) == whole[:-32]


@pytest.mark.onnx
def test_a_file_for_others_has_the_names_that_were_asked_for(tmp_path: Path) -> None:
    import onnxruntime as runtime

    graph, path = small_graph(), tmp_path / "x" / "sums.onnx"
    write_onnx(graph, path, opset=15)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [port.name for port in session.get_inputs()] == ["x", "index"]
    assert [port.name for port in session.get_outputs()] == ["y", "sum"]
    run = open_onnx(path, graph, threads=1)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
