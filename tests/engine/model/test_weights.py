import pytest
import torch
from torch import nn

from engine.errors import BundleError
from engine.model.weights import load_state, parameter_count, save_state


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_there_and_back_at_half_the_size() -> None:
    source, target = module(), nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    tensors = save_state(source, "a.", dtype=torch.float16)
    assert tensors["a.0.weight"].dtype == torch.float16
    assert tensors["a.1.num_batches_tracked"].dtype == torch.int64
    load_state(target, tensors | {"b.else": torch.ones(1)}, "a.")
    assert target[0].weight.dtype == torch.float32
    torch.testing.assert_close(target[0].weight, source[0].weight, atol=1e-3, rtol=1e-3)


def test_saved_tensors_are_copies() -> None:
    source = module()
    tensors = save_state(source)
    with torch.no_grad():
        source[0].weight.zero_()
    assert (tensors["0.weight"] != 0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a.0.weight": None}, r"a\.0\.weight \(3, 2\) is missing"),
        ({"a.0.weight": torch.ones(2, 3)}, r"a\.0\.weight must be \(3, 2\).*got \(2, 3\)"),
        ({"a.0.bias": torch.tensor([0.0, torch.nan, 0.0])}, r"a\.0\.bias holds NaN"),
        ({"a.1.running_var": torch.full((3,), torch.inf)}, r"a\.1\.running_var holds NaN or inf"),
        ({"a.2.bias": torch.ones(7)}, r"a\.2\.bias \(7,\) has no place"),
    ],
)
def test_a_misfit_is_named_and_nothing_is_loaded(
    change: dict[str, torch.Tensor | None], message: str
) -> None:
    tensors = {k: v for k, v in (save_state(module(), "a.") | change).items() if v is not None}
    target = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = save_state(target)
    with pytest.raises(BundleError, match=message):
        load_state(target, tensors, "a.")
    assert all(torch.equal(before[k], v) for k, v in target.state_dict().items())


def test_what_is_known_to_be_left_over_may_be() -> None:
    tensors = save_state(module()) | {"old.x": torch.ones(1), "older": torch.ones(1)}
    load_state(module(), tensors, ignore=("old.", "older"))
    with pytest.raises(BundleError, match="older"):
        load_state(module(), tensors, ignore=("old.",))


def test_parameters_are_counted_without_statistics() -> None:
    assert parameter_count(module()) == 2 * 3 + 3 + 3 + 3
