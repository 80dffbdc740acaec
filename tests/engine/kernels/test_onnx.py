from pathlib import Path

import pytest
import torch

from engine.errors import MissingBackendError
from engine.kernels.graph import BuildOptions
from engine.kernels.onnx import OnnxBackend, open_onnx, write_onnx
from engine.system import cache
from tests.support.graphs import other_inputs, small_graph, tiny_graph


def test_a_missing_library_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingBackendError, match=r"pip install 'emage-live\[cpu\]'"):
        OnnxBackend().prepare(small_graph(), BuildOptions())


@pytest.mark.onnx
def test_outputs_equal_the_models() -> None:
    graph = tiny_graph(samples=1)
    run = OnnxBackend().prepare(graph, BuildOptions())
    (sample,) = graph.samples()
    torch.testing.assert_close(run(sample), graph.module(*sample), atol=1e-4, rtol=1e-4)


@pytest.mark.onnx
def test_exports_are_cached_and_rebuilt_if_damaged(tmp_path: Path) -> None:
    graph, messages = small_graph(), list[str]()
    options = BuildOptions(folder=tmp_path, log=messages.append)
    for _ in range(2):
        run = OnnxBackend().prepare(graph, options)
        torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
    assert len(messages) == 1
    (cached,) = tmp_path.iterdir()
    whole = cached.read_bytes()
    for builds, damaged in enumerate((whole[:-1], b"", whole[:50] + b"x" + whole[51:]), start=2):
        cached.write_bytes(damaged)
        run = OnnxBackend().prepare(graph, options)
        torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
        assert len(messages) == builds
    cache.write(cached, b"intact, but not a graph", messages.append)
    run = OnnxBackend().prepare(graph, options)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
    assert cache.read(cached) == whole[:-32]


@pytest.mark.onnx
def test_an_exported_file_has_the_requested_names(tmp_path: Path) -> None:
    import onnxruntime as runtime

    graph, path = small_graph(), tmp_path / "x" / "sums.onnx"
    write_onnx(graph, path, opset=15)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [port.name for port in session.get_inputs()] == ["x", "index"]
    assert [port.name for port in session.get_outputs()] == ["y", "sum"]
    run = open_onnx(path, graph, threads=1)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
