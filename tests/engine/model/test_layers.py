import math

import pytest
import torch
from torch import nn

from engine.model.layers import DecoderLayer, DecoderStack, EncoderLayer, Mlp, PeriodicPositions


def renamed(layer: nn.Module) -> dict[str, torch.Tensor]:
    """State dict of a PyTorch transformer layer with this project's key names."""
    changes = (
        ("multihead_attn", "cross_attn"),
        ("in_proj_", "in_proj."),
        ("linear", "feed_forward.linear"),
    )
    result = {}
    for name, tensor in layer.state_dict().items():
        for old, new in changes:
            name = name.replace(old, new)
        result[name] = tensor
    return result


def perturbed(layer: nn.Module) -> nn.Module:
    """Add noise to the weights: new layers have zero biases and unit norms, which hide errors."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return layer.eval()


def test_the_encoder_layer_equals_pytorchs() -> None:
    torch.manual_seed(0)
    reference = perturbed(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True))
    layer = EncoderLayer(16, 4, 32, 0.1, 0.1).eval()
    layer.load_state_dict(renamed(reference))
    x = torch.randn(2, 7, 16)
    torch.testing.assert_close(layer(x), reference(x), atol=1e-5, rtol=1e-5)


def test_the_decoder_layer_equals_pytorchs() -> None:
    torch.manual_seed(0)
    reference = perturbed(nn.TransformerDecoderLayer(16, 4, 32, batch_first=True))
    layer = DecoderLayer(16, 4, 32, 0.1, 0.1).eval()
    layer.load_state_dict(renamed(reference))
    x, memory = torch.randn(2, 7, 16), torch.randn(2, 9, 16)
    torch.testing.assert_close(layer(x, memory), reference(x, memory), atol=1e-5, rtol=1e-5)


def test_a_stack_applies_its_layers_in_order() -> None:
    torch.manual_seed(0)
    first, second = (DecoderLayer(8, 2, 16, 0.0, 0.0) for _ in range(2))
    x, memory = torch.randn(1, 3, 8), torch.randn(1, 4, 8)
    expected = second(first(x, memory), memory)
    assert torch.equal(DecoderStack([first, second])(x, memory), expected)


@pytest.mark.parametrize("dropouts", [(0.5, 0.0), (0.0, 0.5)])
def test_dropout_acts_in_training_only(dropouts: tuple[float, float]) -> None:
    torch.manual_seed(0)
    layer = DecoderLayer(8, 2, 16, *dropouts)
    x = torch.randn(1, 3, 8)
    assert not torch.equal(layer(x, x), layer(x, x))
    layer.eval()
    assert torch.equal(layer(x, x), layer(x, x))


def test_the_mlp_uses_its_negative_slope() -> None:
    mlp = Mlp(1, 1, 1, slope=0.25)
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.copy_(torch.ones_like(parameter))
        mlp.first.bias.zero_()
        mlp.second.bias.zero_()
    assert mlp(torch.tensor([[-4.0], [4.0]])).flatten().tolist() == [-1.0, 4.0]


def test_positions_equal_hand_computed_values() -> None:
    table = PeriodicPositions(4, 8)(3)[0]
    expected = [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)]
    assert table[2].tolist() == pytest.approx(expected, abs=1e-6)
    assert table.shape == (3, 4)


def test_positions_are_periodic() -> None:
    positions = PeriodicPositions(6, 5)
    long = positions(12)
    assert long.shape == (1, 12, 6)
    assert torch.equal(long[:, 5:10], long[:, :5])
    assert torch.equal(long[:, 10:], positions(2))
    assert not positions.state_dict()


def test_without_a_feed_forward_the_encoder_layer_is_attention_and_a_norm() -> None:
    torch.manual_seed(0)
    layer = perturbed(EncoderLayer(16, 4, None, 0.1, 0.1))
    x = torch.randn(2, 7, 16)
    torch.testing.assert_close(layer(x), layer.norm1(x + layer.self_attn(x)))
    full = EncoderLayer(16, 4, 32, 0.1, 0.1).state_dict()
    assert set(full) - set(layer.state_dict()) == {
        *(f"feed_forward.linear{i}.{name}" for i in (1, 2) for name in ("weight", "bias")),
        *("norm2.weight", "norm2.bias"),
    }


@pytest.mark.parametrize("output_slice", [slice(3), slice(-2, None), slice(2, 5)], ids=str)
def test_an_output_slice_equals_the_slice_of_a_full_pass(output_slice: slice) -> None:
    torch.manual_seed(0)
    x, memory = torch.randn(2, 7, 16), torch.randn(2, 5, 16)
    for hidden in (32, None):
        layer = perturbed(EncoderLayer(16, 4, hidden, 0.1, 0.1))
        torch.testing.assert_close(
            layer(x, output_slice), layer(x)[:, output_slice], atol=1e-6, rtol=1e-5
        )
    stack = perturbed(DecoderStack([DecoderLayer(16, 4, 32, 0.1, 0.1) for _ in range(2)]))
    some, every = stack(x, memory, output_slice), stack(x, memory)
    torch.testing.assert_close(some, every[:, output_slice], atol=1e-6, rtol=1e-5)
