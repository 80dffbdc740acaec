import torch
from torch import nn

from engine.model.conv import ConvEncoder
from engine.model.layers import EncoderLayer
from engine.model.motion_encoder import MaskedMotionEncoder, SpatialMotionEncoder


def encoder(embed: bool) -> MaskedMotionEncoder:
    torch.manual_seed(0)
    return MaskedMotionEncoder(5, nn.Linear(10, 5) if embed else None, ConvEncoder(5, 8, 1))


def test_the_output_does_not_depend_on_masked_values() -> None:
    for embed in (False, True):
        model = encoder(embed)
        motion = torch.randn(1, 6, 5)
        mask = (torch.rand(1, 6, 5) > 0.5).float()
        garbage = torch.where(mask > 0, torch.nan, motion)
        assert torch.equal(model(motion, mask), model(garbage, mask))
        assert model(garbage, mask).isfinite().all()


def test_the_output_depends_on_visible_values() -> None:
    model = encoder(False)
    motion, mask = torch.randn(1, 6, 5), torch.zeros(1, 6, 5)
    assert not torch.allclose(model(motion, mask), model(motion + 1, mask))


def test_only_the_embedding_distinguishes_hidden_from_visible() -> None:
    hidden, visible = torch.ones(1, 6, 5), torch.zeros(1, 6, 5)
    for embed in (False, True):
        model = encoder(embed)
        motion = model.mask_embedding.detach().expand(1, 6, 5)
        same = torch.allclose(model(motion, hidden), model(motion, visible))
        assert same is not embed


def test_the_mask_embedding_receives_gradients() -> None:
    model = encoder(True)
    model(torch.zeros(1, 6, 5), torch.ones(1, 6, 5)).square().sum().backward()
    assert (model.mask_embedding.grad != 0).all()


SIZES = (6, 6, 3, 4)
ENDS = [(0, 6), (6, 12), (12, 15), (15, 19)]


def spatial(layers: int = 2) -> SpatialMotionEncoder:
    torch.manual_seed(0)
    return SpatialMotionEncoder(SIZES, 8, [EncoderLayer(8, 2, 16, 0, 0) for _ in range(layers)])


def token_mask(*hidden: int) -> torch.Tensor:
    """Mask `[2, 5, 19]` with tokens hidden in every frame."""
    mask = torch.zeros(2, 5, 19)
    for token in hidden:
        mask[..., slice(*ENDS[token])] = 1.0
    return mask


def test_a_hidden_token_hides_all_its_channels() -> None:
    model, motion = spatial(), torch.randn(2, 5, 19)
    mask = token_mask(0, 2)
    expected = model(motion, mask)
    assert expected.shape == (2, 5, 8)
    for garbage in (motion * 7, motion.masked_fill(mask > 0, torch.nan)):
        assert torch.equal(model(torch.where(mask > 0, garbage, motion), mask), expected)
    for token in (1, 3):
        moved = motion.clone()
        moved[..., slice(*ENDS[token])] += 1.0
        assert not torch.allclose(model(moved, mask), expected)


def test_one_hidden_channel_hides_its_token() -> None:
    model, motion = spatial(), torch.randn(2, 5, 19)
    mask = torch.zeros(2, 5, 19)
    mask[..., 8] = 1.0
    assert torch.equal(model(motion, mask), model(motion, token_mask(1)))
    other = motion.clone()
    other[..., 6:12] = torch.randn(2, 5, 6)
    assert torch.equal(model(other, mask), model(motion, mask))


def test_hidden_tokens_are_the_mask_embedding_plus_their_position() -> None:
    model = spatial()
    tokens = model.tokens(torch.randn(2, 5, 19), token_mask(1, 3))
    for token in (1, 3):
        expected = model.mask_embedding + model.positions[token]
        assert torch.equal(tokens[:, :, token], expected.expand(2, 5, 8))
    assert tokens[:, :, 0].std() > 0.1


def test_the_feature_is_the_output_of_cls() -> None:
    model, motion, mask = spatial(), torch.randn(2, 5, 19), token_mask(1)
    tokens = model.tokens(motion, mask).flatten(0, 1)
    x = torch.cat((model.cls.expand(10, 1, 8), tokens), 1)
    whole = model.summarise(model.layers(x))
    torch.testing.assert_close(model(motion, mask), whole[:, 0].view(2, 5, 8))
    with torch.no_grad():
        model.cls.add_(torch.randn(8))
    assert not torch.allclose(model(motion, mask), whole[:, 0].view(2, 5, 8), atol=1e-3)


def test_frames_are_independent_and_tokens_are_distinguished() -> None:
    model, motion, mask = spatial(), torch.randn(2, 5, 19), token_mask()
    moved = motion.clone()
    moved[:, 3] += 1.0
    same = (model(moved, mask) - model(motion, mask)).abs().amax((0, 2)) == 0
    assert same.tolist() == [True, True, True, False, True]
    swapped = torch.cat((motion[..., 6:12], motion[..., :6], motion[..., 12:]), -1)
    assert not torch.allclose(model(swapped, mask), model(motion, mask), atol=1e-3)


def test_masked_values_receive_no_gradient() -> None:
    model, mask = spatial(1), token_mask(0)
    motion = torch.randn(2, 5, 19).masked_fill(mask > 0, torch.nan)
    model(motion, mask).square().sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    assert not gradients["embed.0.weight"].any()
    assert all(gradients[name].any() for name in ("mask_embedding", "cls", "embed.1.weight"))
