import pytest
import torch

from engine.errors import ConfigError
from engine.model.quantizers.residual import ResidualQuantizer
from engine.model.quantizers.vector import VectorQuantizer


def codebook(*vectors: tuple[float, float]) -> VectorQuantizer:
    quantizer = VectorQuantizer(len(vectors), 2, commitment=0.5)
    with torch.no_grad():
        quantizer.embedding.weight.copy_(torch.tensor(vectors))
    return quantizer


def two_stages() -> ResidualQuantizer:
    """Two stages: a codebook of tens and one of units."""
    return ResidualQuantizer(
        [codebook((0, 0), (10, 0), (20, 0)), codebook((1, 0), (3, 0), (-4, 0), (0, 2))]
    )


def test_each_stage_quantises_the_residual() -> None:
    latents = torch.tensor([[[12.6, 0.1], [17.0, 0.0], [10.1, 2.2]]])
    quantizer = two_stages()
    codes = quantizer.nearest(latents)
    # 10 + 3, 20 - 4, 10 + (0, 2); code = first index + 3 * second index
    assert codes.tolist() == [[1 + 3 * 1, 2 + 3 * 2, 1 + 3 * 3]]
    assert quantizer.lookup(codes).tolist() == [[[13.0, 0.0], [16.0, 0.0], [10.0, 2.0]]]


def test_a_code_combines_the_indices_of_all_stages() -> None:
    quantizer = two_stages()
    codes = torch.arange(12)
    entries = quantizer.split(codes)
    assert len(set(zip(*(e.tolist() for e in entries), strict=True))) == 12
    assert torch.equal(quantizer.join(entries), codes)
    assert quantizer.sizes == (3, 4)


def test_codes_from_classes_keep_the_class_and_quantise_the_residual() -> None:
    quantizer = two_stages()
    latents = torch.tensor([[12.6, 0.0]] * 3)
    codes = quantizer.codes_from_classes(torch.tensor([0, 1, 2]), latents)
    assert quantizer.split(codes)[0].tolist() == [0, 1, 2]
    assert quantizer.lookup(codes)[:, 0].tolist() == [3.0, 13.0, 16.0]


@torch.no_grad()
def test_more_stages_lower_the_error() -> None:
    torch.manual_seed(0)
    latents = torch.randn(500, 4)
    stages: list[VectorQuantizer] = []
    errors = []
    for scale in (1.5, 0.6, 0.3):
        stages.append(VectorQuantizer(64, 4))
        stages[-1].embedding.weight.normal_(0, scale)
        quantizer = ResidualQuantizer(stages)
        residual = latents - quantizer.lookup(quantizer.nearest(latents))
        errors.append(float(residual.square().mean()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_gradients_pass_unchanged_and_the_loss_trains_every_stage() -> None:
    latents = torch.tensor([[[12.6, 0.0]]], requires_grad=True)
    quantizer = two_stages()
    result = quantizer(latents)
    weights = torch.tensor([[[2.0, -3.0]]])
    (result.vectors * weights).sum().backward(retain_graph=True)
    torch.testing.assert_close(latents.grad, weights)
    result.loss.backward()
    for stage in quantizer.stages:
        assert stage.embedding.weight.grad.abs().sum() > 0
    # (2.6^2 + 0.4^2) / 2 channels, commitment 0.5, mean over two stages
    torch.testing.assert_close(result.loss.detach(), torch.tensor((6.76 + 0.16) / 2 * 1.5 / 2))


def test_codes_of_more_than_62_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="62 bits"):
        ResidualQuantizer([VectorQuantizer(512, 1) for _ in range(7)])
