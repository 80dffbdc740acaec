import pytest
import torch

from engine.model.quantizers.vector import VectorQuantizer


def three_vectors() -> VectorQuantizer:
    quantizer = VectorQuantizer(3, 2, commitment=0.5)
    with torch.no_grad():
        quantizer.embedding.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 4.0]]))
    return quantizer


def test_the_nearest_vector_is_selected_for_any_norm() -> None:
    latents = torch.tensor([[[0.4, 0.1], [0.6, 0.1], [0.0, 1.9], [0.0, 2.1], [9.0, 9.0]]])
    assert three_vectors().nearest(latents).tolist() == [[0, 1, 0, 2, 2]]


def test_nearest_equals_exhaustive_search() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(17, 5)
    torch.nn.init.normal_(quantizer.embedding.weight)
    latents = torch.randn(3, 11, 5)
    expected = torch.cdist(latents, quantizer.embedding.weight[None]).argmin(-1)
    assert torch.equal(quantizer.nearest(latents), expected)


def test_the_loss_is_equation_4_with_its_commitment() -> None:
    result = three_vectors()(torch.tensor([[[0.4, 0.2]]]))
    distance = (0.4**2 + 0.2**2) / 2
    torch.testing.assert_close(result.loss, torch.tensor(distance * 1.5))
    assert result.codes.tolist() == [[0]]
    assert result.codes.dtype == torch.int64


def test_gradients_pass_the_quantiser_unchanged() -> None:
    latents = torch.tensor([[[0.4, 0.2], [0.1, 3.0]]], requires_grad=True)
    quantizer = three_vectors()
    weights = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    (quantizer(latents).vectors * weights).sum().backward()
    torch.testing.assert_close(latents.grad, weights)
    assert quantizer.embedding.weight.grad is None


def test_the_loss_moves_codebook_and_latents_together() -> None:
    latents = torch.tensor([[[0.4, 0.2]]], requires_grad=True)
    quantizer = three_vectors()
    quantizer(latents).loss.backward()
    assert (quantizer.embedding.weight.grad[0] < 0).all()
    assert (quantizer.embedding.weight.grad[1:] == 0).all()
    torch.testing.assert_close(latents.grad, -0.5 * quantizer.embedding.weight.grad[:1][None])


def test_without_gradients_vectors_equal_codebook_entries() -> None:
    quantizer = three_vectors()
    with torch.no_grad():
        result = quantizer(torch.tensor([[[0.7, 0.1]]]))
    assert torch.equal(result.vectors, quantizer.lookup(result.codes))


def test_the_radius_is_in_units_of_the_spacing() -> None:
    quantizer = VectorQuantizer(4, 1)
    with torch.no_grad():
        quantizer.embedding.weight.copy_(torch.tensor([[0.0], [10.0], [20.0], [90.0]]))
    scores = torch.zeros(4)
    # nearest-neighbour distances 10, 10, 10 and 70, mean 25: radius 1.0 covers the first three
    assert int(quantizer.mean_shift(torch.tensor(0), scores, 1.0)) == 1
    assert int(quantizer.mean_shift(torch.tensor(3), scores, 1.0)) == 3
    assert int(quantizer.mean_shift(torch.tensor(0), scores, 0.1)) == 0


def test_the_spacing_is_recomputed_when_vectors_change() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(6, 2)
    classes, scores = torch.zeros(1, 4, dtype=torch.int64), torch.randn(1, 4, 6)
    for factor in (1.0, 100.0):
        with torch.no_grad():
            quantizer.embedding.weight.mul_(factor)
        fresh = VectorQuantizer(6, 2)
        fresh.load_state_dict(quantizer.state_dict())
        with torch.inference_mode():
            near = quantizer.mean_shift(classes, scores, 2.0)
            assert torch.equal(near, fresh.mean_shift(classes, scores, 2.0))
    assert quantizer._spacing() == pytest.approx(fresh._spacing())
