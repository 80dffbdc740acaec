"""Every tensor of a checkpoint is reported, and none is loaded unless all fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.bundle.checkpoints.load_tensors import Network, check_positions, fill
from engine.errors import BundleError
from engine.model.layers import PeriodicPositions


class Upper:
    """Upper-case names; `old.*` is not used."""

    leftovers = ("old.",)

    def published_name(self, ours: str) -> str:
        return ours.upper() if ours != "num_batches_tracked" else f"X.{ours}"


def network(**changes: Tensor | None) -> Network:
    """Tensors of `nn.BatchNorm1d(2)`."""
    names = ("WEIGHT", "BIAS", "RUNNING_MEAN", "RUNNING_VAR")
    tensors: dict[str, Tensor | None] = {n: torch.full((2,), float(i)) for i, n in enumerate(names)}
    kept = {name: t for name, t in {**tensors, **changes}.items() if t is not None}
    return Network(Path("weights"), kept, Upper())


def test_matching_tensors_are_loaded() -> None:
    module = nn.BatchNorm1d(2)
    report = fill(module, network(**{"old.thing": torch.ones(3)}))
    assert report.problem == ""
    assert module.running_var is not None
    assert module.running_var.tolist() == [3.0, 3.0]
    assert report.leftovers == ("old.thing",)
    assert len(report.matched) == 5  # a missing batch count is replaced by ours


def test_leading_axes_of_size_1_are_dropped() -> None:
    module = nn.BatchNorm1d(2)
    assert not fill(module, network(WEIGHT=torch.full((1, 1, 2), 7.0))).problem
    assert module.weight.tolist() == [7.0, 7.0]


def test_large_values_are_valid() -> None:
    module = nn.BatchNorm1d(2)
    assert not fill(module, network(WEIGHT=torch.full((2,), 3e38))).problem  # their sum is infinite


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"BIAS": None}, "missing", "BIAS is missing; expected shape [2]"),
        ({"BIAS": torch.ones(3)}, "misfits", "BIAS has shape [3]; expected shape [2]"),
        ({"BIAS": torch.ones(1, 2)}, "misfits", "BIAS has shape [1, 2]; expected shape [2]"),
        ({"BIAS": torch.tensor([1.0, torch.nan])}, "misfits", "BIAS holds NaN"),
        ({"BIAS": torch.tensor([1.0, torch.inf])}, "misfits", "BIAS holds NaN"),
        ({"BIAS": torch.tensor([-torch.inf, torch.inf])}, "misfits", "BIAS holds NaN"),
        ({"BIAS": torch.ones(2, dtype=torch.int64)}, "misfits", "BIAS is of torch.int64"),
        ({"NEW": torch.ones(1)}, "unexpected", "NEW is not of this model"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(
    changes: dict[str, Tensor | None], kind: str, words: str
) -> None:
    module = nn.BatchNorm1d(2)
    report = fill(module, network(**changes))
    assert report.problem.startswith(f"weights: tensor {words}")
    assert len(getattr(report, kind)) == 1
    assert module.weight.tolist() == [1.0, 1.0]  # nothing was loaded


def test_positions_other_than_the_computed_ones_are_an_error() -> None:
    positions = PeriodicPositions(8, 6)
    table = positions(12).clone()
    good = Network(Path("weights"), {"position_embeddings.pe": table}, Upper())
    check_positions(good, positions)
    check_positions(replace(good, tensors={}), positions)
    for wrong in (table.flip(2), table[..., :6], table[0]):
        bad = replace(good, tensors={"position_embeddings.pe": wrong})
        with pytest.raises(BundleError, match="every 6 frames"):
            check_positions(bad, positions)
