from dataclasses import dataclass

import pytest
import torch
from torch import nn

from engine.errors import BundleError, ConfigError
from tests.support.reference_model import write_pointer
from training.module_io import load_config, load_weights, save_module


@dataclass(frozen=True)
class Sizes:
    width: int
    names: tuple[str, ...] = ()


def _net():
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.BatchNorm1d(4))


def test_a_loaded_module_is_equal_and_in_evaluation_mode(tmp_path):
    net, other = _net(), _net()
    save_module(tmp_path / "deep" / "a", Sizes(4, ("x", "y")), net)
    load_weights(tmp_path / "deep" / "a", other)
    assert load_config(tmp_path / "deep" / "a", Sizes) == Sizes(4, ("x", "y"))
    assert not other.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_turned_weights_can_be_written(tmp_path):
    """Safetensors rejects tensors that are not contiguous, as some initialisers leave them."""
    net = nn.Linear(3, 4)
    net.weight.data = torch.arange(12.0).reshape(3, 4).t()
    save_module(tmp_path, Sizes(4), net)
    other = nn.Linear(3, 4)
    load_weights(tmp_path, other)
    assert torch.equal(other.weight, net.weight)


def test_a_missing_module_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"lower.config\.json is missing: train"):
        load_config(tmp_path / "lower", Sizes)


def test_a_configuration_of_something_else_is_refused(tmp_path):
    save_module(tmp_path, Sizes(4), nn.Linear(1, 1))
    (tmp_path / "config.json").write_text('{"width": 4, "height": 2}')
    with pytest.raises(ConfigError, match="height"):
        load_config(tmp_path, Sizes)


def test_damaged_weights_and_pointers_are_named(tmp_path):
    save_module(tmp_path, Sizes(4), _net())
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BundleError, match=r"model\.safetensors cannot be read"):
        load_weights(tmp_path, _net())
    write_pointer(path)
    with pytest.raises(BundleError, match=r"model\.safetensors is a pointer of Git LFS"):
        load_weights(tmp_path, _net())
