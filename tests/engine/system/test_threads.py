"""PyTorch threads: one for small models and external graphs, the default for large models."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.bundle.io import Bundle, without_network
from engine.errors import ConfigError
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.stream.pool import StreamPool
from engine.stream.stream import GestureStream
from engine.system import threads as module
from engine.system.threads import computes_outside, graph_threads, set_threads, usual_threads
from tests.support.tiny_bundle import tiny_bundle

SMALL, LARGE = nn.Linear(4, 4), nn.Linear(5000, 5000, device="meta")
_LOAD_AND_STREAM = """
import torch
torch.set_num_threads(3)  # as on a machine with three cores
from engine.bundle.io import DEFAULT_BUNDLE, load_bundle
from engine.stream.stream import GestureStream
bundle = load_bundle(DEFAULT_BUNDLE)
loaded = torch.get_num_threads()
stream = GestureStream(bundle{argument})
print(loaded, torch.get_num_threads())
"""


@pytest.fixture(autouse=True)
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(module, "_BEFORE", {})
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


class ExternalKernel:
    """A kernel that computes outside PyTorch."""

    name = "openvino-int8"

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        raise NotImplementedError


def large_bundle() -> Bundle:
    """A bundle with the parameter count of a large model, most of it in an unused layer."""
    bundle = tiny_bundle()
    bundle.gesture.unused = LARGE
    return bundle


@pytest.mark.parametrize(("argument", "threads"), [("", 1), (", threads=2", 2)])
def test_threads_are_set_when_a_stream_is_created(root: Path, argument: str, threads: int) -> None:
    """Loading a bundle does not set them, since training loads bundles too."""
    text = _LOAD_AND_STREAM.format(argument=argument)
    result = subprocess.run(
        [sys.executable, "-c", text], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["3", str(threads)]


@pytest.mark.parametrize(
    ("large", "kernel", "threads"),
    [(False, None, 1), (True, None, 3), (True, ExternalKernel(), 1), (False, ExternalKernel(), 1)],
)
def test_threads_depend_on_model_and_kernel(
    large: bool, kernel: Kernel | None, threads: int
) -> None:
    bundle = large_bundle() if large else tiny_bundle()
    step = None if kernel is None else staged_step(bundle, kernel=kernel)
    GestureStream(bundle, step=step)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(3)
    StreamPool(bundle, 2, step=step)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("given", [1, 2, 4])
def test_the_argument_takes_precedence(given: int) -> None:
    for bundle in (tiny_bundle(), large_bundle()):
        GestureStream(bundle, threads=given)
        assert torch.get_num_threads() == given
        torch.set_num_threads(3)
        StreamPool(bundle, 1, threads=given)
        assert torch.get_num_threads() == given


def test_less_than_one_thread_is_refused() -> None:
    with pytest.raises(ConfigError, match="threads: expected 1 or more, got 0"):
        GestureStream(tiny_bundle(), threads=0)
    assert torch.get_num_threads() == 3


def test_a_large_model_after_a_small_one_restores_the_threads() -> None:
    set_threads(SMALL, EagerKernel.name)
    set_threads(SMALL, EagerKernel.name)
    assert (torch.get_num_threads(), usual_threads()) == (1, 3)
    set_threads(LARGE, EagerKernel.name)
    assert torch.get_num_threads() == 3


def test_a_requested_thread_count_is_kept() -> None:
    set_threads(SMALL, EagerKernel.name, 1)
    set_threads(LARGE, EagerKernel.name)
    assert torch.get_num_threads() == 1


def test_graphs_of_large_models_use_the_default_threads() -> None:
    set_threads(LARGE, "openvino")
    assert torch.get_num_threads() == 1
    assert graph_threads(LARGE) == 3
    assert graph_threads(SMALL) == 1
    torch.set_num_threads(2)
    assert graph_threads(SMALL) == 2


def test_kernels_outside_pytorch_are_recognised() -> None:
    outside = ("openvino", "openvino-bf16", "openvino-int8", "onnx", "cudagraph", "tensorrt-fp16")
    assert all(computes_outside(name) for name in outside)
    assert not any(computes_outside(name) for name in ("eager", "compile", "custom"))


def test_a_bundle_without_network_works_with_a_kernel() -> None:
    bundle = without_network(large_bundle())
    GestureStream(bundle, step=staged_step(bundle, kernel=ExternalKernel()))
    assert torch.get_num_threads() == 1
