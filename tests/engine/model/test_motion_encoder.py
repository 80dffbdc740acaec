import torch
from torch import nn

from engine.model.conv import ConvEncoder
from engine.model.motion_encoder import MaskedMotionEncoder


def encoder(embed: bool) -> MaskedMotionEncoder:
    torch.manual_seed(0)
    return MaskedMotionEncoder(5, nn.Linear(10, 5) if embed else None, ConvEncoder(5, 8, 1))


def test_what_lies_under_the_mask_does_not_matter() -> None:
    for embed in (False, True):
        model = encoder(embed)
        motion = torch.randn(1, 6, 5)
        mask = (torch.rand(1, 6, 5) > 0.5).float()
        garbage = torch.where(mask > 0, torch.nan, motion)
        assert torch.equal(model(motion, mask), model(garbage, mask))
        assert model(garbage, mask).isfinite().all()


def test_what_is_visible_matters() -> None:
    model = encoder(False)
    motion, mask = torch.randn(1, 6, 5), torch.zeros(1, 6, 5)
    assert not torch.allclose(model(motion, mask), model(motion + 1, mask))


def test_only_the_embedding_tells_hidden_from_visible() -> None:
    hidden, visible = torch.ones(1, 6, 5), torch.zeros(1, 6, 5)
    for embed in (False, True):
        model = encoder(embed)
        motion = model.mask_embedding.detach().expand(1, 6, 5)
        same = torch.allclose(model(motion, hidden), model(motion, visible))
        assert same is not embed


def test_the_learned_vector_learns() -> None:
    model = encoder(True)
    model(torch.zeros(1, 6, 5), torch.ones(1, 6, 5)).square().sum().backward()
    assert (model.mask_embedding.grad != 0).all()
