import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.errors import KernelError
from engine.kernels import registry
from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.kernels.registry import BACKEND_NAMES, KERNEL_NAMES, KernelSpec, backend, make_kernel
from engine.model.types import WindowInputs
from tests.support.graphs import SHAPE, cached_error, tiny_graph
from tests.support.tiny_bundle import tiny_bundle


def test_kernels_are_created_by_name() -> None:
    assert "eager" in KERNEL_NAMES
    assert make_kernel("eager", tiny_bundle().gesture).name == "eager"


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(KernelError, match="unknown kernel 'warp'; expected one of eager"):
        make_kernel("warp", tiny_bundle().gesture)


def test_every_backend_has_its_registered_name() -> None:
    assert [backend(name).name for name in BACKEND_NAMES] == list(BACKEND_NAMES)


def test_compiled_kernels_require_shapes() -> None:
    with pytest.raises(KernelError, match="shapes"):
        make_kernel("openvino", tiny_bundle().gesture)


class CachedError:
    """A backend that adds the number in its cache file to the outputs."""

    name = "kept"
    precision = Precision.FP32

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        error = cached_error(graph, options)

        def run(tensors: Tensors) -> Tensors:
            return tuple(x + error for x in graph.module(*tensors))

        return run


def test_a_cached_graph_that_fails_parity_is_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "backend", lambda name: CachedError())
    options = BuildOptions(folder=tmp_path)
    path = options.cache_path(tiny_graph(), "error")
    assert path is not None
    path.write_text("1000.0")
    kernel = make_kernel("kept", tiny_bundle().gesture, KernelSpec(SHAPE, options))
    assert path.read_text() == "0.0"
    assert kernel(WindowInputs(*tiny_graph().example)).logits[0].shape == (1, 2, 24)


class OnePercentOff:
    name = "wrong"
    precision = Precision.FP32

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        def run(tensors: Tensors) -> Tensors:
            return tuple(x * 1.01 for x in graph.module(*tensors))

        return run


def test_a_kernel_that_fails_parity_is_refused_with_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "backend", lambda name: OnePercentOff())
    with pytest.raises(KernelError, match=r"kernel wrong does not match .* 0.01 apart"):
        make_kernel("wrong", tiny_bundle().gesture, KernelSpec(SHAPE))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("openvino", marks=pytest.mark.openvino),
        pytest.param("onnx", marks=pytest.mark.onnx),
    ],
)
def test_cpu_kernels_pass_parity(name: str) -> None:
    model = tiny_bundle().gesture
    kernel = make_kernel(name, model, KernelSpec(SHAPE))
    example = WindowInputs(*tiny_graph().example)
    expected = make_kernel("eager", model, KernelSpec(SHAPE))(example)
    torch.testing.assert_close(kernel(example), expected, atol=1e-3, rtol=1e-3)


class Calibrated:
    """Checks that calibration takes samples 0, 2 and 3, and the parity check sample 1."""

    name = "calibrated"
    precision = Precision.INT8

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        assert [float(sample[0].max()) for sample in graph.samples()] == [0.0, 2.0, 3.0]

        def run(tensors: Tensors) -> Tensors:
            assert float(tensors[0].max()) == 1.0
            return tuple(graph.module(*tensors))

        return run


def test_int8_calibration_and_parity_use_different_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "backend", lambda name: Calibrated())
    example = WindowInputs(*tiny_graph().example)
    speech = [example._replace(motion=torch.full_like(example.motion, i)) for i in range(4)]
    spec = KernelSpec(SHAPE, samples=lambda: speech)
    assert make_kernel("calibrated", tiny_bundle().gesture, spec).name == "calibrated"


_PREPARE_TWICE = """
import sys
from pathlib import Path
from engine.kernels.graph import BuildOptions
from engine.kernels.registry import backend
from tests.support.graphs import small_graph

folder = Path(sys.argv[1])
for _ in range(2):
    backend(sys.argv[2]).prepare(small_graph(), BuildOptions(folder=folder))
assert len(list(folder.iterdir())) == 1
"""


@pytest.mark.posix
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("openvino", marks=pytest.mark.openvino),
        pytest.param("onnx", marks=pytest.mark.onnx),
    ],
)
@pytest.mark.parametrize("folder", ["\u00fc".encode(), b"b\xe9te"])
def test_a_cache_folder_may_have_any_name_in_any_locale(
    name: str, folder: bytes, tmp_path: Path, root: Path
) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _PREPARE_TWICE, bytes(tmp_path) + b"/" + folder, name],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
