import math

import pytest
import torch

from engine.config.model import PartVaeConfig, QuantizerKind
from engine.model.builders import build_part_vae
from engine.model.part_vae import PartVae


def vae(**changes: object) -> PartVae:
    torch.manual_seed(0)
    return build_part_vae(PartVaeConfig(**({"channels": 5, "width": 8, "code_dim": 6} | changes)))


@pytest.mark.parametrize(
    ("layers", "causal", "expected"),
    [(2, False, (7, 7)), (4, False, (9, 9)), (2, True, (14, 0)), (4, True, (18, 0))],
)
def test_the_decoder_declares_its_context(
    layers: int, causal: bool, expected: tuple[int, int]
) -> None:
    model = vae(layers=layers, causal=causal).double()
    vectors = torch.randn(1, 51, 6, dtype=torch.float64, requires_grad=True)
    model.decode(vectors)[0, 25].square().sum().backward()
    used = vectors.grad[0].abs().sum(-1).nonzero().flatten()
    assert (25 - int(used.min()), int(used.max()) - 25) == expected
    assert (model.left_context, model.right_context) == expected


def test_a_causal_encoder_does_not_depend_on_later_frames() -> None:
    model = vae(causal=True)
    x = torch.randn(1, 20, 5)
    late = x.clone()
    late[:, 12:] += 1.0
    before, after = model.encode(x), model.encode(late)
    assert torch.equal(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12], after[:, 12])


def test_frames_with_their_context_decode_as_in_the_whole_sequence() -> None:
    model = vae(causal=True)
    codes = torch.randint(0, 256, (1, 40))
    whole = model.decode_codes(codes)
    start = 40 - 4 - model.left_context
    torch.testing.assert_close(model.decode_codes(codes[:, start:])[:, -4:], whole[:, -4:])
    short = model.decode_codes(codes[:, start + 1 :])[:, -4]
    assert not torch.allclose(short, whole[:, -4], atol=1e-7, rtol=0)


def test_the_forward_pass_equals_its_stages() -> None:
    model = vae(codes=9)
    x = torch.randn(2, 7, 5)
    result = model(x)
    assert result.motion.shape == x.shape
    assert result.quantized.codes.shape == (2, 7)
    assert result.quantized.vectors.shape == (2, 7, 6)
    assert (model.codes, model.code_dim) == (9, 6)
    assert torch.equal(model.nearest(model.encode(x)), result.quantized.codes)
    torch.testing.assert_close(model.decode_codes(result.quantized.codes), result.motion)


def test_training_lowers_the_reconstruction_error() -> None:
    model = vae(codes=16, width=16)
    x = torch.randn(1, 12, 5)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        result = model(x)
        loss = (result.motion - x).abs().mean() + result.quantized.loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert all(p.grad is not None for p in model.parameters())


def test_codes_as_wide_as_the_network_need_no_projection() -> None:
    assert set(vae(code_dim=8).state_dict()) < set(vae(code_dim=6).state_dict())


KINDS = {
    "plain": {"codes": 9},
    "ema": {"codes": 9},
    "residual": {"codes": 9, "stages": 3},
    "fsq": {"codes": 60, "levels": (5, 4, 3)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_quantizer_works_in_a_part_vae(kind: str) -> None:
    model = vae(quantizer=QuantizerKind(kind), **KINDS[kind])
    result = model(torch.randn(2, 7, 5))
    codes = result.quantized.codes
    assert codes.shape == (2, 7)
    assert codes.dtype == torch.int64
    assert int(codes.max()) < model.codes == math.prod(model.quantizer.sizes)
    assert model.classes == KINDS[kind]["codes"]
    torch.testing.assert_close(model.decode_codes(codes), result.motion)
    latents = model.encode(torch.randn(2, 7, 5))
    assert torch.equal(model.nearest(latents), model.quantize(latents).codes)
    assert torch.equal(
        model.codes_from_classes(codes % model.classes, latents) % model.classes,
        codes % model.classes,
    )


def test_plain_and_ema_codebooks_have_the_same_tensor_names() -> None:
    names = {"quantizer.embedding.weight"}
    for kind in ("plain", "ema"):
        state = vae(quantizer=QuantizerKind(kind), codes=9).state_dict()
        assert {name for name in state if name.startswith("quantizer")} == names
