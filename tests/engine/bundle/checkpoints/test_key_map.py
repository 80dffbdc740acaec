"""The name tables cover every tensor of both published networks, each once."""

from collections.abc import Iterable

import pytest

from bench.export.random_checkpoints import (
    GLOBAL,
    PARTS,
    Sizes,
    audio_shapes,
    autoencoder_shapes,
    text_shapes,
)
from engine.bundle.checkpoints.key_map import AUDIO_2025, TEXT_2024, AutoencoderNames, GestureNames
from engine.config.model import PartVaeConfig, RootModelConfig
from engine.config.presets import published_audio_config, published_text_config
from engine.model.builders import build_gesture_model, build_part_vae, build_root_model
from tests.support.reference_model import SIZES, WORDS

OURS = {"width": 16, "audio_width": 8, "motion_width": 12, "codes": 24, "code_dim": 24}


def check(names: GestureNames | AutoencoderNames, ours: Iterable[str], published: set[str]) -> None:
    renamed = [names.published_name(name) for name in ours]
    assert len(set(renamed)) == len(renamed)
    assert set(renamed) <= published
    leftovers = published - set(renamed)
    assert all(name.startswith(names.leftovers) for name in leftovers)
    assert not any(name.startswith(names.leftovers) for name in renamed if names.leftovers)


def test_the_audio_network_of_2025() -> None:
    model = build_gesture_model(published_audio_config(**OURS))
    check(AUDIO_2025, model.state_dict(), set(audio_shapes(Sizes(**SIZES))))


def test_the_text_network_of_2024() -> None:
    model = build_gesture_model(published_text_config(4 + len(WORDS), **OURS))
    check(TEXT_2024, model.state_dict(), set(text_shapes(Sizes(**SIZES, words=WORDS))))


@pytest.mark.parametrize("part", PARTS)
def test_the_autoencoders(part: str) -> None:
    channels, layers = PARTS[part]
    vae = build_part_vae(PartVaeConfig(channels, 24, 24, 24, layers))
    check(
        AutoencoderNames(layers),
        vae.state_dict(),
        set(autoencoder_shapes(channels, 24, layers, 24)),
    )


def test_the_root_motion() -> None:
    channels, layers = GLOBAL
    module = build_root_model(RootModelConfig(channels, channels, 24, layers))
    shapes = autoencoder_shapes(channels, 24, layers, None)
    check(AutoencoderNames(layers), module.state_dict(), set(shapes))


@pytest.mark.parametrize(
    ("names", "ours", "published"),
    [
        (AUDIO_2025, "body.refiners.2.out.weight", "motion_out_proj_lower.weight"),
        (AUDIO_2025, "classifiers.1.second.bias", "motion_cls_upper.fc2.bias"),
        (
            AUDIO_2025,
            "body.cross_attention.layers.7.cross_attn.in_proj.bias",
            "audio_motion_cross_attn.layers.7.multihead_attn.in_proj_bias",
        ),
        (
            AUDIO_2025,
            "speech.body.audio.blocks.3.shortcut.1.running_var",
            "audio_encoder_body.feat_extractor.3.downsample.1.running_var",
        ),
        (
            AUDIO_2025,
            "motion.convolve.blocks.2.residual.first.weight",
            "motion_encoder.main.8.model.0.weight",
        ),
        (TEXT_2024, "body.refiners.0.out.bias", "motion_down_upper.bias"),
        (TEXT_2024, "speech.face.attention.score.weight", "at_attn_face.weight"),
        (TEXT_2024, "face_speaker.weight", "spearker_encoder_face.weight"),
        (TEXT_2024, "body_hint.first.weight", "bodyhints_body.mlp.0.weight"),
        (AutoencoderNames(4), "decoder.convs.3.bias", "decoder.main.8.bias"),
        (AutoencoderNames(4), "decoder.last.weight", "decoder.main.10.weight"),
        (AutoencoderNames(2), "decoder.residuals.1.second.bias", "decoder.main.1.model.2.bias"),
        (AutoencoderNames(2), "quantizer.embedding.weight", "quantizer.embedding.weight"),
    ],
)
def test_some_names(names: GestureNames | AutoencoderNames, ours: str, published: str) -> None:
    assert names.published_name(ours) == published
