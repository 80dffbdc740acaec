import pytest

from engine.config.model import (
    AudioEncoderConfig,
    AudioKind,
    BodyVariant,
    GestureConfig,
    MotionEncoderConfig,
    MotionKind,
    PartVaeConfig,
    QuantizerKind,
    RootModelConfig,
    WordConfig,
)
from engine.config.presets import live_config, published_audio_config, published_text_config
from engine.config.serialize import from_mapping, to_mapping
from engine.errors import ConfigError


@pytest.mark.parametrize(
    "config",
    [
        live_config(70, 300),
        published_audio_config(),
        published_text_config(11195),
        PartVaeConfig(78, causal=True),
        PartVaeConfig(78, codes=60, quantizer=QuantizerKind.FSQ, levels=(5, 4, 3)),
        RootModelConfig(61),
    ],
    ids=["live", "audio", "text", "vae", "fsq", "root"],
)
def test_the_designs_survive_conversion_to_a_mapping(config: object) -> None:
    assert from_mapping(type(config), to_mapping(config)) == config


FEATURES = AudioEncoderConfig(AudioKind.FEATURES, 8, 16, dilations=(1,))
ODD = MotionEncoderConfig(MotionKind.SPATIAL, width=18)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: PartVaeConfig(0), "channels"),
        (lambda: PartVaeConfig(8, commitment=-1.0), "commitment"),
        (lambda: PartVaeConfig(8, stages=2), "stages"),
        (lambda: PartVaeConfig(8, quantizer=QuantizerKind.RESIDUAL, stages=0), "stages"),
        (lambda: PartVaeConfig(8, quantizer=QuantizerKind.FSQ), "levels"),
        (lambda: PartVaeConfig(8, levels=(5,)), "levels"),
        (lambda: PartVaeConfig(8, codes=1, quantizer=QuantizerKind.FSQ, levels=(1,)), "levels"),
        (lambda: PartVaeConfig(8, codes=9, quantizer=QuantizerKind.FSQ, levels=(3, 4)), "codes"),
        (lambda: RootModelConfig(8, layers=0), "layers"),
        (lambda: AudioEncoderConfig(AudioKind.FEATURES, 8), "dilations"),
        (lambda: AudioEncoderConfig(AudioKind.WAVE, 1, dilations=(1,)), "dilations"),
        (lambda: AudioEncoderConfig(AudioKind.FEATURES, 8, dilations=(1, 0)), "dilations"),
        (lambda: AudioEncoderConfig(AudioKind.WAVE, 1, width=18), "width"),
        (lambda: WordConfig(0), "vocabulary"),
        (lambda: WordConfig(5, attention_layers=3), "attention_layers"),
        (lambda: MotionEncoderConfig(layers=0), "layers"),
        (lambda: MotionEncoderConfig(MotionKind.SPATIAL, channels=61), "channels"),
        (lambda: GestureConfig(FEATURES, motion=ODD), r"motion\.width"),
        (
            lambda: GestureConfig(FEATURES, body_variant=BodyVariant.FUSION, attend_aligned=True),
            "attend_aligned",
        ),
        (
            lambda: AudioEncoderConfig(AudioKind.FEATURES, 8, dilations=(1,), feature_range=(4, 9)),
            "feature_range",
        ),
        (
            lambda: AudioEncoderConfig(AudioKind.FEATURES, 8, dilations=(1,), feature_range=(4, 4)),
            "feature_range",
        ),
        (lambda: AudioEncoderConfig(AudioKind.WAVE, 2, feature_range=(0, 1)), "feature_range"),
        (lambda: GestureConfig(FEATURES, width=30), "width"),
        (lambda: GestureConfig(FEATURES, width=15, heads=3), "width"),
        (lambda: GestureConfig(FEATURES, dropout=1.0), "dropout"),
        (lambda: GestureConfig(FEATURES, speakers=0), "speakers"),
    ],
)
def test_a_number_out_of_range_is_an_error(make, name: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=rf"^{name} must be"):
        make()
