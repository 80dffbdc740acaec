import pytest
import torch

from engine.config.model import BodyVariant, GestureConfig, OnsetConfig
from engine.config.presets import (
    live_config,
    paper_config,
    published_audio_config,
    published_text_config,
)
from engine.model.body_variants import BodyInputs
from engine.model.builders import build_gesture_model
from engine.model.gesture import GestureModel
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.channels import MOTION, MOTION_TOKENS
from engine.motion.skeleton import BodyPart
from tests.support.tiny_bundle import randomize_zeros

SIZES = {"width": 16, "codes": 7, "code_dim": 6, "speakers": 3}
FRAMES = 12
CONFIGS = {
    "live": live_config(5, 9, channels=11, word_width=4, **SIZES),
    "onset": live_config(
        5, 9, channels=11, word_width=4, speech_dilations=(1, 2), onset=OnsetConfig(), **SIZES
    ),
    "audio": published_audio_config(audio_width=8, motion_width=8, **SIZES),
    "text": published_text_config(9, audio_width=8, motion_width=8, **SIZES),
    **{
        f"paper, {path}": paper_config(
            9, body_variant=path, audio_width=8, motion_width=8, word_width=4, **SIZES
        )
        for path in list(BodyVariant)[1:]
    },
}


def window(config: GestureConfig, frames: int = FRAMES, batch: int = 2) -> WindowInputs:
    torch.manual_seed(1)
    channels = config.audio.channels
    if config.audio.kind == "features":
        audio = torch.randn(batch, frames, channels)
    else:
        audio = torch.randn((batch, frames * 533) + ((channels,) if channels > 1 else ()))
    shape = (batch, frames, config.motion.channels)
    sizes = MOTION_TOKENS if shape[-1] == MOTION.width else (1,) * shape[-1]
    hidden = torch.rand(batch, frames, len(sizes)) > 0.5
    return WindowInputs(
        motion=torch.randn(shape),
        mask=hidden.repeat_interleave(torch.tensor(sizes), -1).float(),
        audio=audio,
        words=torch.randint(1, 9, (batch, frames)),
        speaker=torch.arange(batch) % config.speakers,
    )


def model(name: str) -> GestureModel:
    torch.manual_seed(0)
    network = build_gesture_model(CONFIGS[name]).eval()
    randomize_zeros(network)
    return network


def same(a: WindowOutputs, b: WindowOutputs) -> list[bool]:
    """Whether latents and logits agree, for each part."""
    return [
        bool(torch.allclose(a.latents[i], b.latents[i], atol=1e-6))
        and bool(torch.allclose(a.logits[i], b.logits[i], atol=1e-6))
        for i in range(len(a.latents))
    ]


@pytest.mark.parametrize("name", CONFIGS)
def test_each_design_outputs_latents_and_scores_of_each_part(name: str) -> None:
    out = model(name)(window(CONFIGS[name]))
    assert [tuple(latent.shape) for latent in out.latents] == [(2, FRAMES, 6)] * len(BodyPart)
    assert [tuple(score.shape) for score in out.logits] == [(2, FRAMES, 7)] * len(BodyPart)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("newest", [1, 5, FRAMES, FRAMES + 4])
def test_newest_frames_equal_the_last_frames_of_a_full_pass(name: str, newest: int) -> None:
    network, inputs = model(name), window(CONFIGS[name])
    whole, part = network(inputs), network(inputs, newest=newest)
    for all_frames, some in zip(
        (*whole.latents, *whole.logits), (*part.latents, *part.logits), strict=True
    ):
        assert some.shape[1] == min(newest, FRAMES)
        torch.testing.assert_close(some, all_frames[:, -newest:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_each_input_reaches_every_part(name: str) -> None:
    network, inputs = model(name), window(CONFIGS[name])
    before = network(inputs)
    changes = {
        "motion": inputs.motion + 1.0,
        "mask": 1.0 - inputs.mask,
        "audio": inputs.audio * 2.0,
        "speaker": (inputs.speaker + 1) % 3,
    }
    if CONFIGS[name].words is not None:
        changes["words"] = torch.zeros_like(inputs.words)
    for field, value in changes.items():
        after = network(inputs._replace(**{field: value}))
        assert same(before, after) == [False] * 4, field


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_of_a_batch_are_independent(name: str) -> None:
    network, inputs = model(name), window(CONFIGS[name])
    alone = network(WindowInputs(*(field[1:] for field in inputs)))
    together = network(inputs)
    for i in range(4):
        torch.testing.assert_close(together.latents[i][1:], alone.latents[i], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_weight_is_used(name: str) -> None:
    network = model(name).train()
    out = network(window(CONFIGS[name]))
    sum(tensor.square().sum() for tensor in (*out.latents, *out.logits)).backward()
    unused = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unused


@pytest.mark.parametrize("name", CONFIGS)
def test_without_audio_only_the_face_depends_on_speech(name: str) -> None:
    network, inputs = model(name), window(CONFIGS[name])
    other = inputs._replace(audio=2 * inputs.audio + 1, words=torch.zeros_like(inputs.words))
    one, two = network(inputs, use_audio=False), network(other, use_audio=False)
    for part in range(1, 4):
        assert torch.equal(one.latents[part], two.latents[part])
        assert torch.equal(one.logits[part], two.logits[part])
    assert same(one, two)[0] is False
    assert same(one, network(inputs)) == [True, False, False, False]
    moved = network(inputs._replace(motion=inputs.motion + 1.0), use_audio=False)
    assert same(one, moved) == [False] * 4


def test_the_output_depends_on_the_position() -> None:
    network, inputs = model("live"), window(CONFIGS["live"])
    constant = WindowInputs(
        inputs.motion[:, :1].expand(-1, FRAMES, -1),
        torch.ones_like(inputs.mask),
        inputs.audio[:, :1].expand(-1, FRAMES, -1),
        torch.zeros_like(inputs.words),
        inputs.speaker,
    )
    out = network(constant)
    assert not torch.allclose(out.latents[0][:, 8], out.latents[0][:, 9], atol=1e-5)


def test_the_published_designs_fuse_audio_differently() -> None:
    audio, text = model("audio").body, model("text").body
    assert (audio.speaker_in_query, audio.position_in_refiner) == (True, False)
    assert (text.speaker_in_query, text.position_in_refiner) == (False, True)
    position, speaker = torch.randn(1, 5, 16), torch.randn(1, 1, 16)
    audio_features = torch.randn(1, 5, 8)
    for body in (audio, text):
        embedding = position + speaker
        attended = torch.randn(1, 5, 16)
        with_speaker = body.speaker_in_query
        query = attended + embedding if with_speaker else attended + position
        attended_audio = body.cross_attention(query, body.project_audio(audio_features))
        expected = attended_audio + (query if with_speaker else attended)
        torch.testing.assert_close(body.fuse(audio_features, attended, position, speaker), expected)
        alone = query if with_speaker else attended
        assert torch.equal(body.fuse(None, attended, position, speaker), alone)


def test_a_part_is_refined_by_the_two_others() -> None:
    body = model("audio").body
    inputs = []
    for refiner in body.refiners:
        refiner.register_forward_hook(lambda _, given, __: inputs.append(given))
    position, speaker = torch.randn(1, 5, 16), torch.randn(1, 1, 16)
    features, hint = torch.randn(1, 5, 8), torch.randn(1, 5, 16)
    body(BodyInputs(features, hint, hint, position, speaker))
    own = [given[0] for given in inputs]
    for i, (_, others, query, _) in enumerate(inputs):
        torch.testing.assert_close(others, sum(own) - own[i])
        assert torch.equal(query, speaker)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("paper")])
def test_the_papers_face_uses_the_refined_hint(name: str) -> None:
    """Equation 10: face and body share h and p_t."""
    network, inputs = model(name), window(CONFIGS[name])
    embedding = network.positions(FRAMES) + network.body_speaker(inputs.speaker)[:, None]
    projected_hint = network.body.project_hint(network.motion(inputs.motion, inputs.mask))
    h = network.body.self_attention(projected_hint + embedding)
    speech, _ = network.speech(inputs.audio, inputs.words)
    memory = network.face.project(torch.cat((speech, h), -1))
    expected = network.face.out(network.face.decoder(embedding, memory))
    torch.testing.assert_close(network(inputs).latents[0], expected)


@pytest.mark.parametrize("name", ["live", "audio"])
def test_only_an_aligned_design_depends_on_the_order_of_the_audio(name: str) -> None:
    network = model(name)
    width = CONFIGS[name].audio.width
    position, speaker = network.positions(6), torch.randn(1, 1, 16)
    ordered = torch.randn(1, 6, width)
    shuffled = ordered[:, [3, 0, 5, 1, 4, 2]]
    for decode, hint_width in ((network.body.fuse, 16), (network.face, width)):
        hint = torch.zeros(1, 6, hint_width)
        before = decode(ordered, hint, position, speaker)
        after = decode(shuffled, hint, position, speaker)
        assert torch.allclose(before, after, atol=1e-5) is not CONFIGS[name].attend_aligned
