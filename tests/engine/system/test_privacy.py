"""Optional libraries contact no hosts and leave no files in the home folder."""

import os
import sys
from pathlib import Path

import pytest

from bench.perf.privacy import watch
from engine.system.privacy import compile_in, stay_private

_PREPARE_BACKENDS = """
import torch
from engine.kernels.graph import Precision, BuildOptions
from engine.kernels.registry import backend
from tests.support.graphs import other_inputs, small_graph, tiny_graph

for name in {names}:
    graph = tiny_graph(samples=2) if "int8" in name else small_graph()
    inputs = graph.example if "int8" in name else other_inputs()
    backend(name).prepare(graph, BuildOptions())(inputs)
"""


def run(code: str, root: Path) -> None:
    found = watch([sys.executable, "-c", code], {"PYTHONPATH": str(root)})
    assert found.status == 0, found.output
    assert found.contacts == ()
    assert found.files == ()


@pytest.mark.strace
@pytest.mark.openvino
@pytest.mark.onnx
def test_openvino_and_onnxruntime_stay_private(root: Path) -> None:
    run(_PREPARE_BACKENDS.format(names=("openvino", "onnx")), root)


@pytest.mark.slow
@pytest.mark.strace
@pytest.mark.nncf
def test_nncf_stays_private(root: Path) -> None:
    run(_PREPARE_BACKENDS.format(names=("openvino-int8",)), root)


@pytest.mark.slow
@pytest.mark.strace
@pytest.mark.compiler
def test_torch_compile_stays_private(root: Path) -> None:
    run(_PREPARE_BACKENDS.format(names=("compile",)), root)


@pytest.mark.strace
@pytest.mark.matplotlib
def test_matplotlib_caches_fonts_in_the_cache_folder(root: Path) -> None:
    run("from bench.plots.figures import _pyplot; _pyplot().figure().text(0, 0, 'a')", root)


@pytest.mark.strace
@pytest.mark.viewer
def test_the_viewer_stays_private(root: Path) -> None:
    run("from exporters.viewer.scene import Scene; Scene('127.0.0.1', 8390)", root)


def test_telemetry_is_disabled_before_libraries_are_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ORT_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "")
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    stay_private()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    with pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401


def test_compile_in_sets_the_folder_temporarily(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/before")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with compile_in(tmp_path):
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == os.environ["TMPDIR"] == str(tmp_path)
    assert os.environ["TMPDIR"] == "/before"
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
