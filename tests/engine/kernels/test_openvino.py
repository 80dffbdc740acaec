import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.errors import KernelError, MissingBackendError
from engine.kernels.graph import BuildOptions, Precision
from engine.kernels.openvino import OpenVinoBackend
from engine.kernels.parity import relative_error
from engine.system import cache
from tests.support.graphs import other_inputs, small_graph, tiny_graph


def test_names_contain_the_precision() -> None:
    names = [OpenVinoBackend(p).name for p in (Precision.FP32, Precision.BF16, Precision.INT8)]
    assert names == ["openvino", "openvino-bf16", "openvino-int8"]


def test_a_missing_library_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MissingBackendError, match=r"pip install 'emage-live\[cpu\]'"):
        OpenVinoBackend(Precision.FP32).prepare(small_graph(), BuildOptions())


@pytest.mark.openvino
def test_outputs_follow_the_inputs_and_are_not_overwritten() -> None:
    graph = small_graph()
    run = OpenVinoBackend(Precision.FP32).prepare(graph, BuildOptions())
    first = run(graph.example)
    before = first[0].clone()
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
    torch.testing.assert_close(first[0], before)
    torch.testing.assert_close(first, graph.module(*graph.example))


@pytest.mark.openvino
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
def test_converted_graphs_are_cached_and_rebuilt_if_damaged(
    tmp_path: Path, precision: Precision
) -> None:
    graph, messages = small_graph(), list[str]()
    options = BuildOptions(folder=tmp_path / "deep", log=messages.append)
    backend = OpenVinoBackend(precision)

    def check() -> None:
        run = backend.prepare(graph, options)
        for actual, expected in zip(
            run(other_inputs()), graph.module(*other_inputs()), strict=True
        ):
            assert relative_error(expected, actual) < 0.01

    check()
    check()
    assert messages == [f"converting sums for {backend.name} ..."]
    (cached,) = (tmp_path / "deep").iterdir()
    whole = cached.read_bytes()
    middle = len(whole) // 2
    damaged = (
        *(whole[:100], whole[:-1], b"", b"not a graph"),
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    )
    for builds, contents in enumerate(damaged, start=2):
        cached.write_bytes(contents)
        check()
        assert len(messages) == builds
    assert cache.read(cached) is not None
    assert options.clear_cache(graph)
    assert not list((tmp_path / "deep").iterdir())


@pytest.mark.openvino
def test_an_intact_file_that_openvino_refuses_is_rebuilt(tmp_path: Path) -> None:
    graph, options = small_graph(), BuildOptions(folder=tmp_path)
    backend = OpenVinoBackend(Precision.FP32)
    backend.prepare(graph, options)
    (cached,) = tmp_path.iterdir()
    cache.write(cached, b"x" * 5000, print)
    run = backend.prepare(graph, options)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))


@pytest.mark.openvino
def test_a_running_graph_survives_replacement_of_its_file(tmp_path: Path) -> None:
    """Two processes may write the file at the same time; a mapped file must not change."""
    graph, options = small_graph(), BuildOptions(folder=tmp_path)
    backend = OpenVinoBackend(Precision.FP32)
    backend.prepare(graph, options)
    run = backend.prepare(graph, options)
    (cached,) = tmp_path.iterdir()
    cache.write(cached, b"short", print)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))


@pytest.mark.openvino
@pytest.mark.parametrize("blocker", ["a file in place of the folder", None])
def test_graphs_run_without_a_writable_cache(tmp_path: Path, blocker: str | None) -> None:
    folder = tmp_path / "file" / "deep" if blocker else None
    if blocker:
        (tmp_path / "file").write_text(blocker)
    graph, options = small_graph(), BuildOptions(folder=folder)
    run = OpenVinoBackend(Precision.FP32).prepare(graph, options)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))


_COMMA = """
import locale, sys, torch
from pathlib import Path
from engine.kernels.graph import Precision, BuildOptions
from engine.kernels.openvino import OpenVinoBackend
from tests.support.graphs import other_inputs, small_graph

name = locale.setlocale(locale.LC_NUMERIC, "comma")
assert locale.str(0.5) == "0,5"
graph, options = small_graph(), BuildOptions(folder=Path(sys.argv[1]))
for _ in range(2):
    run = OpenVinoBackend(Precision.FP32).prepare(graph, options)
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
assert locale.setlocale(locale.LC_NUMERIC) == name
"""


@pytest.mark.openvino
@pytest.mark.localedef
def test_a_locale_with_decimal_comma_does_not_change_graphs(tmp_path: Path, root: Path) -> None:
    locales = tmp_path / "locales"
    locales.mkdir()
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", "--no-archive", str(locales / "comma")]
    subprocess.run(command, check=False, capture_output=True)
    result = subprocess.run(
        [sys.executable, "-c", _COMMA, str(tmp_path / "cache")],
        cwd=root,
        env={**os.environ, "LOCPATH": str(locales)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    (cached,) = (tmp_path / "cache").iterdir()
    assert cache.read(cached) is not None


class Broken(nn.Module):
    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such operator\nand more")


@pytest.mark.openvino
def test_a_failed_conversion_is_a_kernel_error() -> None:
    graph = dataclasses.replace(small_graph(), module=Broken())
    with pytest.raises(KernelError, match="OpenVINO cannot convert sums: "):
        OpenVinoBackend(Precision.FP32).prepare(graph, BuildOptions())


@pytest.mark.openvino
def test_int8_requires_recorded_inputs() -> None:
    with pytest.raises(KernelError, match="calibrate"):
        OpenVinoBackend(Precision.INT8).prepare(tiny_graph(), BuildOptions())


@pytest.mark.slow
@pytest.mark.nncf
def test_int8_is_within_tolerance(tmp_path: Path) -> None:
    graph = tiny_graph(samples=6)
    options = BuildOptions(folder=tmp_path)
    run = OpenVinoBackend(Precision.INT8).prepare(graph, options)
    (sample, *_) = graph.samples()
    for actual, expected in zip(run(sample), graph.module(*sample), strict=True):
        assert 0 < relative_error(expected, actual) < 0.1
    model = OpenVinoBackend(Precision.INT8).model(__import__("openvino"), graph, options)
    assert "FakeQuantize" in [op.get_type_name() for op in model.get_ops()]


_FREED_IN_A_THREAD = """
import gc, os, signal, threading
from engine.kernels.graph import Precision, BuildOptions
from engine.kernels.openvino import OpenVinoBackend
from tests.support.graphs import small_graph
signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
runs = [OpenVinoBackend(Precision.FP32).prepare(small_graph(), BuildOptions())]
def free():
    runs.clear()
    gc.collect()
thread = threading.Thread(target=free)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.posix
@pytest.mark.openvino
def test_signals_work_after_a_graph_was_freed_in_another_thread(root: Path) -> None:
    """Regression: the process died of SIGSEGV on CPUs with AMX."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", _FREED_IN_A_THREAD],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "handled\n"), result.stderr
