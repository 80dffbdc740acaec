"""The full-size paper design: shapes, parameter counts, and a stream."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.bundle.io import Bundle, load_bundle, new_bundle, save_bundle
from engine.config.features import DEFAULT_FEATURES
from engine.config.model import (
    AudioEncoderConfig,
    AudioKind,
    BodyVariant,
    PartVaeConfig,
    RootModelConfig,
)
from engine.config.presets import paper_config
from engine.config.serialize import from_mapping, to_mapping
from engine.model.builders import build_gesture_model, build_part_vae, build_root_model
from engine.model.types import WindowInputs
from engine.motion.channels import LOCAL_MOTION, part_layout
from engine.motion.pose import concatenate
from engine.motion.skeleton import BodyPart
from engine.stream.stream import GestureStream
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_config

D, SUM, SPEECH, CODE, CODES = 512, 256, 256, 512, 256  # widths of h, CLS, f, codes; codes
WORDS, SPEAKERS = 11195, 25
PATHS = [BodyVariant.FUSION, BodyVariant.SELF_ATTENTION, BodyVariant.CROSS_ATTENTION]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def linear(width_in: int, width_out: int) -> int:
    return width_in * width_out + width_out


def attention(width: int) -> int:
    return linear(width, 3 * width) + linear(width, width)


def feed_forward(width: int) -> int:
    return linear(width, 2 * width) + linear(2 * width, width)


def norm(width: int) -> int:
    return 2 * width


def encoder(width: int) -> int:
    return attention(width) + feed_forward(width) + 2 * norm(width)


DECODER = 2 * attention(D) + feed_forward(D) + 3 * norm(D)
RHYTHM = linear(4, SPEECH) + 4 * linear(3 * SPEECH, SPEECH) + norm(SPEECH)
ALPHA = linear(2 * SPEECH, SPEECH) + linear(SPEECH, 2 * SPEECH)
BLOCKS = {
    "speech": WORDS * 300 + 2 * (RHYTHM + linear(300, SPEECH) + ALPHA),
    "motion": 337 * SUM + 57 * SUM + (57 + 2) * SUM + 2 * encoder(SUM),
    "body_hint": 0,
    "positions": 0,
    "body_speaker": SPEAKERS * D,
    "face": linear(SPEECH + D, D) + 4 * DECODER + linear(D, CODE),
    "classifiers": 4 * (linear(CODE, D) + linear(D, CODES)),
}
TSA = attention(D) + norm(D)
FUSED = linear(SPEECH, D) + 8 * DECODER
BODY = {
    BodyVariant.FUSION: linear(SPEECH + D, D) + 8 * DECODER,
    BodyVariant.SELF_ATTENTION: FUSED + encoder(D),
    BodyVariant.CROSS_ATTENTION: FUSED + DECODER,
}
TOTAL = {
    BodyVariant.FUSION: 49_250_340,
    BodyVariant.SELF_ATTENTION: 51_090_980,
    BodyVariant.CROSS_ATTENTION: 52_142_628,
}


@pytest.mark.parametrize("path", PATHS)
def test_the_full_size_model_has_this_many_parameters(path: BodyVariant) -> None:
    with torch.device("meta"):
        model = build_gesture_model(paper_config(WORDS, body_variant=path))
    body = linear(SUM, D) + TSA + BODY[path] + 3 * linear(D, CODE)
    found = {name: count(module) for name, module in model.named_children()}
    assert found == BLOCKS | {"body": body}
    assert count(model) == sum(BLOCKS.values()) + body == TOTAL[path]


def convolution(channels_in: int, channels_out: int) -> int:
    return 3 * channels_in * channels_out + channels_out


def autoencoder(channels: int, out: int, layers: int) -> int:
    """Parameters of encoder blocks, two residual units, the decoder's and the last convolution."""
    inner = convolution(D, D)
    into = convolution(channels, D) + 2 * inner + (layers - 1) * 3 * inner
    back = 4 * inner + (layers - 1) * inner + convolution(D, out) + convolution(out, out)
    return into + back


@pytest.mark.parametrize(
    ("part", "channels", "layers", "total"),
    [
        (BodyPart.FACE, 106, 2, 8_360_576),
        (BodyPart.UPPER, 78, 2, 8_259_048),
        (BodyPart.HANDS, 180, 2, 8_651_544),
        (BodyPart.LOWER, 61, 4, 14_495_253),
    ],
)
def test_the_parts_have_256_codes_of_512(
    part: BodyPart, channels: int, layers: int, total: int
) -> None:
    """Section 4.1, supplement D. Convolutions are as wide as the codes, which is our choice.

    The lower body has 4 layers, as in the checkpoints, and our three channels of translation
    besides the paper's 54 + 4.
    """
    with torch.device("meta"):
        vae = build_part_vae(PartVaeConfig(channels, D, CODE, CODES, layers))
    assert channels == part_layout(part, 100).width
    assert vae.quantizer.embedding.weight.shape == (256, 512)
    assert count(vae) == autoencoder(channels, channels, layers) + CODES * CODE == total


def test_root_motion_is_334_to_3() -> None:
    with torch.device("meta"):
        network = build_root_model(RootModelConfig(LOCAL_MOTION.width, 3, D, 4))
    assert count(network) == autoencoder(334, 3, 4) == 14_683_169


def test_the_full_size_shapes() -> None:
    with torch.device("meta"):
        model = build_gesture_model(paper_config(WORDS))
        inputs = WindowInputs(
            *(torch.zeros(2, 64, 337), torch.zeros(2, 64, 337), torch.zeros(2, 64, 70)),
            *(torch.zeros(2, 64, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)),
        )
        assert model.motion.tokens(inputs.motion, inputs.mask).shape == (2, 64, 57, SUM)
        hint = model.motion(inputs.motion, inputs.mask)
        assert hint.shape == (2, 64, SUM)
        assert model.body.self_attention(model.body.project_hint(hint)).shape == (2, 64, D)
        for use_audio in (True, False):
            out = model(inputs, use_audio=use_audio)
            assert [tuple(x.shape) for x in out.latents] == [(2, 64, CODE)] * 4
            assert [tuple(x.shape) for x in out.logits] == [(2, 64, CODES)] * 4


def test_the_rhythm_is_onset_and_level_only() -> None:
    config = paper_config(9)
    groups = DEFAULT_FEATURES.groups
    rhythm = [c for name in ("onset", "level") for c in range(70)[groups[name]]]
    assert config.audio.feature_range is not None
    assert list(range(*config.audio.feature_range)) == rhythm


@pytest.mark.parametrize("path", PATHS)
def test_the_design_survives_conversion_to_a_mapping(path: BodyVariant) -> None:
    config = paper_config(9, body_variant=path)
    assert from_mapping(type(config), to_mapping(config)) == config


SIZES = {"width": 16, "audio_width": 8, "motion_width": 8, "word_width": 4}


def test_amplitude_and_onsets_at_the_sample_rate_can_replace_the_features() -> None:
    config = paper_config(6, codes=7, code_dim=6, speakers=1, **SIZES)
    sampled = AudioEncoderConfig(AudioKind.WAVE, channels=2, width=8)
    model = build_gesture_model(dataclasses.replace(config, audio=sampled)).eval()
    inputs = WindowInputs(
        *(torch.randn(1, 12, 337), torch.ones(1, 12, 337), torch.rand(1, 12 * 533, 2)),
        *(torch.zeros(1, 12, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)),
    )
    assert model(inputs).latents[1].shape == (1, 12, 6)


def moved(bundle: Bundle, samples: np.ndarray) -> np.ndarray:
    stream = GestureStream(bundle)
    stream.feed_audio(samples)
    return concatenate(stream.flush()).rotations


def test_the_design_streams_from_a_bundle(tmp_path: Path) -> None:
    torch.manual_seed(0)
    gesture = paper_config(8, codes=24, code_dim=8, speakers=1, **SIZES)
    bundle = new_bundle(dataclasses.replace(tiny_config(temperature=0.0), gesture=gesture))
    for module in bundle.parts.values():
        module.quantizer.embedding.weight.normal_()
    save_bundle(bundle, tmp_path, half=False)
    loaded = load_bundle(tmp_path)
    assert loaded.config == bundle.config
    speech = babble(1.0)
    rotations = moved(bundle, speech)
    assert rotations.shape == (30, 55, 4)
    np.testing.assert_array_equal(moved(loaded, speech), rotations)
    assert np.abs(rotations - moved(bundle, np.zeros_like(speech))).max() > 1e-3
