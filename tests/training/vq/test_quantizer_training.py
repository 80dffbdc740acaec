"""Training of all quantisers and their usage statistics."""

import pytest
import torch

from engine.config.model import PartVaeConfig, QuantizerKind
from engine.model.builders import build_part_vae
from engine.model.part_vae import PartVae
from training.vq.quantizer_training import QuantizerTrainer, code_use, codebooks, perplexity

KINDS = {
    "plain": {"codes": 8},
    "ema": {"codes": 8},
    "residual": {"codes": 8, "stages": 2},
    "fsq": {"codes": 20, "levels": (5, 4)},
}


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def vae(kind: str) -> PartVae:
    torch.manual_seed(0)
    more = KINDS[kind]
    return build_part_vae(PartVaeConfig(5, 8, 4, layers=1, quantizer=QuantizerKind(kind), **more))


@pytest.fixture
def latents() -> torch.Tensor:
    """Eight clusters of points, far from zero."""
    torch.manual_seed(3)
    centres = 4.0 * torch.randn(8, 4)
    return centres[torch.arange(800) % 8] + 0.3 * torch.randn(800, 4)


def error(model: PartVae, latents: torch.Tensor) -> float:
    with torch.no_grad():
        left = latents - model.quantizer.lookup(model.nearest(latents))
    return float(left.square().mean())


@pytest.mark.parametrize("kind", ["plain", "ema", "residual"])
def test_codebooks_are_initialised_from_latents(kind: str, latents: torch.Tensor) -> None:
    model = vae(kind)
    trainer = QuantizerTrainer(model.quantizer, QuantizerKind(kind))
    before = error(model, latents)
    trainer.start(latents, draws())
    assert error(model, latents) < 0.1 * before
    assert not trainer.needs_no_start


def test_second_codebook_learns_the_residual(latents: torch.Tensor) -> None:
    one, two = vae("ema"), vae("residual")
    for model, kind in ((one, "ema"), (two, "residual")):
        trainer = QuantizerTrainer(model.quantizer, QuantizerKind(kind))
        trainer.start(latents, draws())
        for _ in range(20):
            trainer.step(latents, draws())
    # The second codebook splits each cluster.
    assert error(two, latents) < 0.8 * error(one, latents)


def test_moving_averages_update_all_but_plain_codebooks(latents: torch.Tensor) -> None:
    for kind, moves in (("ema", True), ("residual", True), ("plain", False)):
        model = vae(kind)
        trainer = QuantizerTrainer(model.quantizer, QuantizerKind(kind))
        trainer.start(latents, draws())
        books = [book.embedding.weight for book in codebooks(model.quantizer)]
        before = [book.detach().clone() for book in books]
        trainer.step(latents + 1.0, draws())
        assert all(torch.equal(a, b) != moves for a, b in zip(before, books, strict=True))
        assert all(book.requires_grad != moves for book in books)


def test_gradients_reach_a_plain_codebook_and_the_latents() -> None:
    model = vae("plain")
    trainer = QuantizerTrainer(model.quantizer, QuantizerKind.PLAIN)
    latents = torch.randn(1, 3, 4, requires_grad=True)
    result = model.quantize(latents)
    terms = trainer.terms(latents, result.codes, 0.25)
    # Both terms of eq. 4 have the same value before weighting.
    torch.testing.assert_close(terms["commitment"], 0.25 * terms["codebook"])
    sum(terms.values()).backward()
    assert model.quantizer.embedding.weight.grad.abs().sum() > 0
    assert latents.grad.abs().sum() > 0


def test_ema_codebooks_have_no_codebook_loss_and_fsq_no_terms() -> None:
    model = vae("residual")
    trainer = QuantizerTrainer(model.quantizer, QuantizerKind.RESIDUAL)
    latents = torch.randn(1, 3, 4, requires_grad=True)
    terms = trainer.terms(latents, model.nearest(latents), 1.0)
    assert set(terms) == {"commitment"}
    expected = (latents - model.quantizer.lookup(model.nearest(latents))).square().mean()
    torch.testing.assert_close(terms["commitment"], expected)
    free = QuantizerTrainer(vae("fsq").quantizer, QuantizerKind.FSQ)
    assert free.terms(latents, model.nearest(latents), 1.0) == {}
    assert free.needs_no_start
    assert free.step(latents.flatten(0, 1), draws()) == 0


def test_unused_codes_of_every_codebook_are_restarted(latents: torch.Tensor) -> None:
    model = vae("residual")
    with torch.no_grad():
        for book in codebooks(model.quantizer):
            book.embedding.weight[1:].fill_(100.0)
    trainer = QuantizerTrainer(model.quantizer, QuantizerKind.RESIDUAL)
    restarted = sum(trainer.step(latents, draws()) for _ in range(120))
    assert restarted >= 2 * 7
    for book in codebooks(model.quantizer):
        assert book.embedding.weight.abs().max() < 50.0


def test_perplexity_is_the_effective_number_of_codes() -> None:
    assert perplexity(torch.tensor([3, 3, 3])) == pytest.approx(1.0)
    assert perplexity(torch.arange(16)) == pytest.approx(16.0)
    # Shares 1/2, 1/4, 1/4: entropy 1.5 ln 2.
    assert perplexity(torch.tensor([0, 0, 1, 2])) == pytest.approx(2**1.5)


def test_usage_is_reported_for_each_codebook() -> None:
    first, second = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 1, 1])
    uses = code_use(first + 4 * second, (4, 8))
    assert [use.used for use in uses] == [1.0, 0.25]
    assert [use.perplexity for use in uses] == pytest.approx([4.0, 2.0])
    assert str(uses[1]) == "25 % (perplexity 2)"
