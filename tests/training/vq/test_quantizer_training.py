"""Every kind of quantiser learns, and says how much of it is used."""

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
    """Eight heaps of points, far from zero and each with a spread of its own."""
    torch.manual_seed(3)
    centres = 4.0 * torch.randn(8, 4)
    return centres[torch.arange(800) % 8] + 0.3 * torch.randn(800, 4)


def error(model: PartVae, latents: torch.Tensor) -> float:
    with torch.no_grad():
        left = latents - model.quantizer.lookup(model.nearest(latents))
    return float(left.square().mean())


@pytest.mark.parametrize("kind", ["plain", "ema", "residual"])
def test_the_codebooks_begin_where_the_latents_are(kind: str, latents: torch.Tensor) -> None:
    model = vae(kind)
    trainer = QuantizerTrainer(model.quantizer, QuantizerKind(kind))
    before = error(model, latents)
    trainer.start(latents, draws())
    assert error(model, latents) < 0.1 * before
    assert not trainer.needs_no_start


def test_a_second_codebook_learns_what_the_first_left_over(latents: torch.Tensor) -> None:
    one, two = vae("ema"), vae("residual")
    for model, kind in ((one, "ema"), (two, "residual")):
        trainer = QuantizerTrainer(model.quantizer, QuantizerKind(kind))
        trainer.start(latents, draws())
        for _ in range(20):
            trainer.step(latents, draws())
    # Every heap is a ball of its own, which the second codebook cuts into eight.
    assert error(two, latents) < 0.8 * error(one, latents)


def test_averages_move_the_codebook_and_gradients_do_not(latents: torch.Tensor) -> None:
    for kind, moves in (("ema", True), ("residual", True), ("plain", False)):
        model = vae(kind)
        trainer = QuantizerTrainer(model.quantizer, QuantizerKind(kind))
        trainer.start(latents, draws())
        books = [book.embedding.weight for book in codebooks(model.quantizer)]
        before = [book.detach().clone() for book in books]
        trainer.step(latents + 1.0, draws())
        assert all(torch.equal(a, b) != moves for a, b in zip(before, books, strict=True))
        assert all(book.requires_grad != moves for book in books)


def test_gradients_teach_a_plain_codebook_and_latents_alike() -> None:
    model = vae("plain")
    trainer = QuantizerTrainer(model.quantizer, QuantizerKind.PLAIN)
    latents = torch.randn(1, 3, 4, requires_grad=True)
    result = model.quantize(latents)
    terms = trainer.terms(latents, result.codes, 0.25)
    # The two terms of eq. 4, weighted as the quantiser itself would.
    torch.testing.assert_close(terms["commitment"], 0.25 * terms["codebook"])
    sum(terms.values()).backward()
    assert model.quantizer.embedding.weight.grad.abs().sum() > 0
    assert latents.grad.abs().sum() > 0


def test_averaged_codebooks_get_no_gradient_and_levels_need_no_terms() -> None:
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


def test_unused_codes_of_every_codebook_start_anew(latents: torch.Tensor) -> None:
    model = vae("residual")
    with torch.no_grad():
        for book in codebooks(model.quantizer):
            book.embedding.weight[1:].fill_(100.0)
    trainer = QuantizerTrainer(model.quantizer, QuantizerKind.RESIDUAL)
    restarted = sum(trainer.step(latents, draws()) for _ in range(120))
    assert restarted >= 2 * 7
    for book in codebooks(model.quantizer):
        assert book.embedding.weight.abs().max() < 50.0


def test_perplexity_counts_codes_by_how_evenly_they_are_used() -> None:
    assert perplexity(torch.tensor([3, 3, 3])) == pytest.approx(1.0)
    assert perplexity(torch.arange(16)) == pytest.approx(16.0)
    # Shares 1/2, 1/4, 1/4: entropy 1.5 ln 2.
    assert perplexity(torch.tensor([0, 0, 1, 2])) == pytest.approx(2**1.5)


def test_use_is_reported_by_codebook() -> None:
    first, second = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 1, 1])
    uses = code_use(first + 4 * second, (4, 8))
    assert [use.used for use in uses] == [1.0, 0.25]
    assert [use.perplexity for use in uses] == pytest.approx([4.0, 2.0])
    assert str(uses[1]) == "25 % (perplexity 2)"
