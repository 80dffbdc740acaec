import pytest
import torch

from engine.errors import KernelError
from engine.kernels.eager import EagerKernel
from engine.kernels.graph import Precision
from engine.kernels.parity import compared, measure, relative_error, require_parity
from engine.kernels.window_graph import draw_window
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from tests.support.graphs import SHAPE
from tests.support.tiny_bundle import tiny_bundle


class StaleKernel:
    """Always returns its first outputs, as a graph does whose inputs are not copied."""

    name = "replayed"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._first: WindowOutputs | None = None

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        self._first = self._first or self._kernel(inputs)
        return self._first


def windows(count: int) -> list[WindowInputs]:
    generator = torch.Generator().manual_seed(0)
    return [draw_window(SHAPE, generator) for _ in range(count)]


def test_the_eager_kernel_passes_parity_with_itself() -> None:
    eager = EagerKernel(tiny_bundle().gesture, 2)
    found = require_parity(eager, eager, windows(2), Precision.FP32)
    assert found.error == 0.0
    assert found.codes == 1.0


def test_stale_outputs_fail_parity_on_the_second_window() -> None:
    eager = EagerKernel(tiny_bundle().gesture, 2)
    assert measure(StaleKernel(eager), eager, windows(1)).error == 0.0
    with pytest.raises(KernelError, match=r"kernel replayed does not match .* apart .*%"):
        require_parity(StaleKernel(eager), eager, windows(2), Precision.BF16)


def test_errors_equal_hand_computed_values() -> None:
    expected = WindowOutputs((torch.tensor([3.0, 4.0]),), (torch.tensor([[0.0, 1.0], [1.0, 0.0]]),))
    actual = WindowOutputs((torch.tensor([3.0, 4.5]),), (torch.tensor([[0.0, 1.0], [0.9, 1.0]]),))
    found = compared(expected, actual)
    assert found.codes == 0.5
    assert found.error == pytest.approx((0.1**2 + 1) ** 0.5 / 2**0.5)


def test_nan_and_other_shapes_have_infinite_error() -> None:
    one = torch.ones(2)
    assert relative_error(one, torch.tensor([1.0, float("nan")])) == float("inf")
    assert relative_error(one, torch.ones(3)) == float("inf")
    assert relative_error(one, torch.tensor([1.0, 2.0])) == pytest.approx(0.5**0.5)
