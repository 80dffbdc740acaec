import torch
from torch import nn

from engine.model.quantizers.scalar import ScalarQuantizer


def identity_quantizer(*levels: int) -> ScalarQuantizer:
    return ScalarQuantizer(levels, len(levels), nn.Identity(), nn.Identity())


def test_channels_are_rounded_to_their_levels() -> None:
    # tanh 0 = 0 is the middle of five levels; tanh 0.3 = 0.29 is nearer to 0.5 than to 0
    latents = torch.tensor([[0.0, -9.0], [0.3, 0.1], [0.2, 9.0], [-9.0, -0.1]])
    quantizer = identity_quantizer(5, 2)
    codes = quantizer.nearest(latents)
    assert codes.tolist() == [2 + 5 * 0, 3 + 5 * 1, 2 + 5 * 1, 0 + 5 * 0]
    assert quantizer.lookup(codes).tolist() == [[0.0, -1.0], [0.5, 1.0], [0.0, 1.0], [-1.0, -1.0]]


def test_codes_and_vectors_correspond_one_to_one() -> None:
    quantizer = identity_quantizer(4, 3, 5)
    codes = torch.arange(60)
    vectors = quantizer.lookup(codes)
    assert quantizer.sizes == (60,)
    assert len(vectors.unique(dim=0)) == 60
    assert torch.equal(quantizer.nearest(torch.atanh(vectors * 0.99)), codes)


def test_rounding_does_not_change_gradients() -> None:
    latents = torch.tensor([[[0.3, -0.7]]], requires_grad=True)
    result = identity_quantizer(5, 4)(latents)
    result.vectors.sum().backward()
    torch.testing.assert_close(latents.grad, 1.0 - torch.tanh(latents.detach()).square())
    torch.testing.assert_close(result.vectors, identity_quantizer(5, 4).lookup(result.codes))
    assert float(result.loss) == 0.0


def test_wide_latents_are_projected_linearly() -> None:
    torch.manual_seed(0)
    quantizer = ScalarQuantizer((5, 5), 8, nn.Linear(8, 2), nn.Linear(2, 8))
    latents = torch.randn(3, 7, 8)
    result = quantizer(latents)
    assert result.vectors.shape == latents.shape
    assert result.codes.shape == (3, 7)
    assert quantizer.code_dim == 8
    result.vectors.sum().backward()
    assert quantizer.inward.weight.grad.abs().sum() > 0
    assert "counts" not in quantizer.state_dict()


def test_the_mean_shift_averages_likely_classes_within_the_radius() -> None:
    quantizer = identity_quantizer(5, 5)  # code = first + 5 * second
    scores = torch.full((25,), -20.0)
    scores[[0, 2, 24]] = 0.0  # at (0, 0), (2, 0) and (4, 4)
    sampled = torch.tensor([0, 24])
    # (0, 0) and (2, 0) are within the radius of each other, (4, 4) of neither
    assert quantizer.mean_shift(sampled, scores.expand(2, 25), 1.2).tolist() == [0, 24]
    scores[[0, 2]] = torch.tensor([0.0, 1.39])
    assert quantizer.mean_shift(sampled, scores.expand(2, 25), 1.2).tolist() == [1, 24]
    assert quantizer.mean_shift(sampled, scores.expand(2, 25), 0.1).tolist() == sampled.tolist()
