"""Each body variant of fig. 5 computes its equation and can be trained."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.config.model import BodyVariant
from engine.config.presets import paper_config
from engine.model.body_variants import BodyInputs
from engine.model.builders import build_gesture_model
from engine.model.gesture import GestureModel
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.channels import MOTION_TOKENS

WIDTH, SPEECH, FRAMES = 16, 8, 10
PATHS = [BodyVariant.FUSION, BodyVariant.SELF_ATTENTION, BodyVariant.CROSS_ATTENTION]


def network(path: BodyVariant) -> GestureModel:
    torch.manual_seed(0)
    sizes = {"width": WIDTH, "audio_width": SPEECH, "motion_width": 8, "word_width": 4}
    return build_gesture_model(
        paper_config(6, body_variant=path, codes=7, code_dim=6, speakers=2, **sizes)
    ).eval()


def body_inputs() -> tuple[Tensor, ...]:
    """Audio, gesture hint, refined hint, position and speaker embeddings."""
    torch.manual_seed(1)
    audio = torch.randn(2, FRAMES, SPEECH)
    hint, refined = torch.randn(2, FRAMES, WIDTH), torch.randn(2, FRAMES, WIDTH)
    return audio, hint, refined, torch.randn(1, FRAMES, WIDTH), torch.randn(2, 1, WIDTH)


def decode_parts(body: nn.Module, features: Tensor) -> list[Tensor]:
    return [out(features) for out in body.out]


def test_the_selected_path_is_equation_9_and_without_audio_equation_7() -> None:
    body = network(BodyVariant.CROSS_ATTENTION).body
    audio, hint, h, position, speaker = body_inputs()
    embedding = position + speaker
    merged = body.path.fusion.decoder(h + embedding, body.path.fusion.project(audio))
    for speech, memory in ((audio, merged), (None, h + embedding)):
        expected = decode_parts(body, body.path.decoder(hint + embedding, memory))
        torch.testing.assert_close(body(BodyInputs(speech, hint, h, position, speaker)), expected)


def test_the_self_attention_path_does_not_use_the_gesture_hint() -> None:
    body = network(BodyVariant.SELF_ATTENTION).body
    audio, hint, h, position, speaker = body_inputs()
    embedding = position + speaker
    merged = body.path.fusion.decoder(h + embedding, body.path.fusion.project(audio))
    for speech, features in ((audio, merged), (None, h + embedding)):
        expected = decode_parts(body, body.path.decoder(features))
        torch.testing.assert_close(body(BodyInputs(speech, hint, h, position, speaker)), expected)
        repeated = body(BodyInputs(speech, hint + 1.0, h, position, speaker))
        assert all(torch.equal(a, b) for a, b in zip(expected, repeated, strict=True))


def test_straightforward_fusion_queries_by_position_and_uses_no_refined_hint() -> None:
    body = network(BodyVariant.FUSION).body
    audio, hint, h, position, speaker = body_inputs()
    query = (position + speaker).expand(2, FRAMES, WIDTH)
    for speech in (audio, None):
        used = torch.zeros_like(audio) if speech is None else speech
        memory = body.path.project(torch.cat((used, hint), -1))
        expected = decode_parts(body, body.path.decoder(query, memory))
        torch.testing.assert_close(body(BodyInputs(speech, hint, h, position, speaker)), expected)
        repeated = body(BodyInputs(speech, hint, h + 1.0, position, speaker))
        assert all(torch.equal(a, b) for a, b in zip(expected, repeated, strict=True))


def window() -> WindowInputs:
    torch.manual_seed(2)
    hidden = torch.rand(4, FRAMES, len(MOTION_TOKENS)) < 0.5
    return WindowInputs(
        motion=torch.randn(4, FRAMES, 337),
        mask=hidden.repeat_interleave(torch.tensor(MOTION_TOKENS), -1).float(),
        audio=torch.randn(4, FRAMES, 70),
        words=torch.randint(0, 6, (4, FRAMES)),
        speaker=torch.tensor([0, 1, 0, 1]),
    )


def training_loss(
    with_audio: WindowOutputs, without: WindowOutputs, codes: Tensor, latents: Tensor
) -> Tensor:
    """Loss on latents and classes of all parts with audio, and on body latents without (eq. 8)."""
    total = torch.zeros(())
    for part in range(4):
        total = total + F.mse_loss(with_audio.latents[part], latents[part])
        total = total + F.cross_entropy(
            with_audio.logits[part].flatten(0, 1), codes[part].flatten()
        )
        if part:
            total = total + F.l1_loss(without.latents[part], latents[part])
    return total


@pytest.mark.parametrize("path", PATHS)
def test_training_lowers_the_loss_of_every_path(path: BodyVariant) -> None:
    model, inputs = network(path).train(), window()
    codes = torch.randint(0, 7, (4, 4, FRAMES))
    latents = torch.randn(4, 4, FRAMES, 6)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss = training_loss(model(inputs), model(inputs, use_audio=False), codes, latents)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
