import pytest
import torch

from engine.errors import KernelError
from engine.kernels.eager import EagerKernel
from engine.kernels.graph import Precision
from engine.kernels.parity import (
    DIFFERENT,
    Outputs,
    Parity,
    ParityError,
    compare,
    measure,
    relative_error,
    require,
    worst,
)
from engine.kernels.window_graph import draw_window
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from tests.support.graphs import SHAPE
from tests.support.tiny_bundle import tiny_bundle


class StaleKernel:
    """Returns the first output for every input, like a graph with stale buffers."""

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
    found = measure(eager, eager, windows(2))
    assert found == Parity()
    require("kernel eager", found, Precision.FP32)


def test_stale_outputs_fail_parity_on_the_second_window() -> None:
    eager = EagerKernel(tiny_bundle().gesture, 2)
    assert measure(StaleKernel(eager), eager, windows(1)).error == 0.0
    with pytest.raises(KernelError, match=r"kernel replayed does not match .* apart .*%"):
        require("kernel replayed", measure(StaleKernel(eager), eager, windows(2)), Precision.BF16)


def test_errors_equal_hand_computed_values() -> None:
    expected = WindowOutputs((torch.tensor([3.0, 4.0]),), (torch.tensor([[0.0, 1.0], [1.0, 0.0]]),))
    got = WindowOutputs((torch.tensor([3.0, 4.5]),), (torch.tensor([[0.0, 1.0], [0.9, 1.0]]),))
    found = measure(lambda _: got, lambda _: expected, windows(1))  # type: ignore[arg-type]
    assert found.codes == 0.5
    assert found.error == pytest.approx((0.1**2 + 1) ** 0.5 / 2**0.5)


def test_groups_have_bounds_of_their_own() -> None:
    one, off = torch.ones(4), torch.full((4,), 1.01)
    found = compare(Outputs([one], [one], [one]), Outputs([off], [one], [one]))
    assert (found.codes, found.poses) == (1.0, 0.0)
    assert found.error == pytest.approx(0.01)
    require("it", found, Precision.BF16)
    for wrong in (Parity(poses=0.01), Parity(codes=0.6), DIFFERENT):
        with pytest.raises(ParityError, match="it does not match"):
            require("it", wrong, Precision.BF16)
    assert worst([Parity(0.1, 0.5), Parity(0.2, 1.0, 0.3)]) == Parity(0.2, 0.75, 0.3)


def test_nan_and_other_shapes_have_infinite_error() -> None:
    one = torch.ones(2)
    assert relative_error(one, torch.tensor([1.0, float("nan")])) == float("inf")
    assert relative_error(one, torch.ones(3)) == float("inf")
    assert relative_error(one, torch.tensor([1.0, 2.0])) == pytest.approx(0.5**0.5)
