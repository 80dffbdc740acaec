import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.errors import KernelError, MissingBackendError
from engine.kernels.graph import Precision, Settings
from engine.kernels.openvino import OpenVinoBackend
from engine.kernels.parity import relative_error
from tests.engine.kernels.graphs import other_inputs, small_graph, tiny_graph


def test_names_tell_the_precision() -> None:
    names = [OpenVinoBackend(p).name for p in (Precision.FP32, Precision.BF16, Precision.INT8)]
    assert names == ["openvino", "openvino-bf16", "openvino-int8"]


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MissingBackendError, match=r"pip install 'emage-live\[cpu\]'"):
        OpenVinoBackend(Precision.FP32).prepare(small_graph(), Settings())


@pytest.mark.openvino
def test_results_follow_the_inputs_and_are_not_written_again() -> None:
    graph = small_graph()
    run = OpenVinoBackend(Precision.FP32).prepare(graph, Settings())
    first = run(graph.example)
    kept = first[0].clone()
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
    torch.testing.assert_close(first[0], kept)
    torch.testing.assert_close(first, graph.module(*graph.example))


@pytest.mark.openvino
def test_what_was_converted_is_kept_and_a_damaged_file_made_anew(tmp_path: Path) -> None:
    graph, told = small_graph(), list[str]()
    settings = Settings(folder=tmp_path / "deep", say=told.append)
    backend = OpenVinoBackend(Precision.FP32)
    for _ in range(2):
        torch.testing.assert_close(
            backend.prepare(graph, settings)(other_inputs()), graph.module(*other_inputs())
        )
    assert told == ["converting sums for openvino ..."]
    (kept,) = (tmp_path / "deep").glob("*.xml")
    kept.write_text("not xml")
    run = backend.prepare(graph, settings)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
    assert len(told) == 2
    assert list((tmp_path / "deep").glob("*_compiled/*")), "compiling is kept too"
    assert settings.forget(graph)
    assert not list((tmp_path / "deep").iterdir())


@pytest.mark.openvino
def test_where_nothing_can_be_kept_compiled_it_runs_all_the_same(tmp_path: Path) -> None:
    graph, settings = small_graph(), Settings(folder=tmp_path)
    backend = OpenVinoBackend(Precision.FP32)
    backend.prepare(graph, settings)
    (folder,) = tmp_path.glob("*_compiled")
    shutil.rmtree(folder)
    folder.write_text("a file where a folder is wanted")
    run = backend.prepare(graph, settings)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))


class Broken(nn.Module):
    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such operator\nand more")


@pytest.mark.openvino
def test_what_cannot_be_converted_is_a_kernels_error() -> None:
    graph = dataclasses.replace(small_graph(), module=Broken())
    with pytest.raises(KernelError, match="OpenVINO cannot convert sums: "):
        OpenVinoBackend(Precision.FP32).prepare(graph, Settings())


@pytest.mark.openvino
def test_int8_wants_real_inputs() -> None:
    with pytest.raises(KernelError, match="calibrate"):
        OpenVinoBackend(Precision.INT8).prepare(tiny_graph(), Settings())


@pytest.mark.nncf
@pytest.mark.slow
def test_int8_is_near(tmp_path: Path) -> None:
    graph = tiny_graph(samples=6)
    settings = Settings(folder=tmp_path)
    run = OpenVinoBackend(Precision.INT8).prepare(graph, settings)
    (sample, *_) = graph.samples()
    for got, expected in zip(run(sample), graph.module(*sample), strict=True):
        assert 0 < relative_error(expected, got) < 0.1
    (kept,) = tmp_path.glob("*_int8*.xml")
    assert "FakeQuantize" in kept.read_text()
