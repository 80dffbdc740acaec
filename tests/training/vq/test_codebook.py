import pytest
import torch

from engine.model.quantizers.vector import VectorQuantizer
from training.vq.codebook import CodebookTrainer, code_usage


@pytest.fixture
def latents():
    """Four tight clusters of points, far from zero."""
    torch.manual_seed(3)
    centres = torch.tensor([[5.0, 0], [-5, 0], [0, 5], [0, -5]])
    return (centres[torch.arange(400) % 4] + 0.05 * torch.randn(400, 2)), centres


def _generator():
    return torch.Generator().manual_seed(1)


def test_start_finds_the_clusters(latents):
    points, centres = latents
    quantizer = VectorQuantizer(4, 2)
    CodebookTrainer(quantizer).start(points, _generator())
    nearest = torch.cdist(centres, quantizer.embedding.weight).min(1)
    assert nearest.values.max() < 0.1
    assert len(nearest.indices.unique()) == 4


def test_codebook_follows_the_latents(latents):
    points, _ = latents
    quantizer = VectorQuantizer(4, 2)
    trainer = CodebookTrainer(quantizer, decay=0.8)
    trainer.start(points, _generator())
    for _ in range(40):
        trainer.step(points + 1.0, _generator())
    moved = quantizer.embedding.weight[quantizer.nearest(points + 1.0)]
    assert (moved - points - 1.0).abs().max() < 0.3


def test_unused_codes_are_restarted(latents):
    points, _ = latents
    quantizer = VectorQuantizer(8, 2)
    with torch.no_grad():
        quantizer.embedding.weight.fill_(100.0)
    trainer = CodebookTrainer(quantizer, decay=0.5)
    restarted = sum(trainer.step(points, _generator()) for _ in range(20))
    assert restarted > 0
    assert quantizer.embedding.weight.abs().max() < 6.0


def test_codebook_gets_no_gradient():
    quantizer = VectorQuantizer(4, 2)
    CodebookTrainer(quantizer)
    assert not quantizer.embedding.weight.requires_grad


def test_usage_counts_distinct_codes():
    assert code_usage(torch.tensor([0, 1, 1, 3]), 8) == pytest.approx(3 / 8)
