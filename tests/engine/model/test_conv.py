import pytest
import torch

from engine.model.conv import ConvDecoder, ConvEncoder, EncoderBlock, TemporalConv, context


def measured_context(module: torch.nn.Module, channels: int, frames: int = 41) -> tuple[int, int]:
    """Left and right context of the middle frame, measured by gradients."""
    torch.manual_seed(0)
    x = torch.randn(1, channels, frames, dtype=torch.float64, requires_grad=True)
    middle = frames // 2
    module.double()(x)[0, :, middle].square().sum().backward()
    used = x.grad[0].abs().sum(0).nonzero().flatten()
    return middle - int(used.min()), int(used.max()) - middle


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_declares_its_context(kernel: int, causal: bool) -> None:
    conv = TemporalConv(2, 3, kernel, causal=causal)
    declared = (conv.left_context, conv.right_context)
    assert declared == ((kernel - 1, 0) if causal else (kernel // 2, kernel // 2))
    assert measured_context(conv, 2) == declared


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("make", [ConvEncoder, ConvDecoder])
@pytest.mark.parametrize("frames", [1, 6, 9, 40])
def test_newest_frames_equal_the_last_frames_of_a_full_pass(
    make, frames: int, causal: bool
) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    chain = make(4, 5, 3, causal=causal)
    x = torch.randn(2, 4, frames)
    full = chain(x)
    for newest in (1, 4, 8, 50):
        torch.testing.assert_close(chain(x, newest), full[..., -newest:], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("newest", [None, 3])
def test_inference_and_training_give_the_same_outputs(newest: int | None, causal: bool) -> None:
    torch.manual_seed(0)
    conv = TemporalConv(4, 5, causal=causal)
    x = torch.randn(2, 4, 9)
    with torch.inference_mode():
        live = conv(x, newest)
    torch.testing.assert_close(live, conv(x, newest), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("make", [ConvEncoder, ConvDecoder])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_context_of_a_chain_is_the_sum_of_its_layers(make, layers: int, causal: bool) -> None:  # type: ignore[no-untyped-def]
    chain = make(4, 5, layers, causal=causal)
    assert measured_context(chain, 4) == context(chain)
    assert context(chain)[1] == 0 if causal else context(chain)[0] == context(chain)[1]


def test_a_centred_convolution_equals_conv1d() -> None:
    torch.manual_seed(0)
    conv = TemporalConv(3, 4)
    plain = torch.nn.Conv1d(3, 4, 3, padding=1)
    plain.load_state_dict(conv.state_dict())
    x = torch.randn(2, 3, 9)
    torch.testing.assert_close(conv(x), plain(x))


def test_a_block_adds_its_residual() -> None:
    block = EncoderBlock(2, 2)
    torch.nn.init.zeros_(block.residual.second.weight)
    torch.nn.init.zeros_(block.residual.second.bias)
    x = torch.randn(1, 2, 5)
    expected = torch.nn.functional.leaky_relu(block.conv(x), 0.2)
    torch.testing.assert_close(block(x), expected)
