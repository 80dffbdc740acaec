import pytest

from engine.config.model import (
    AudioEncoderConfig,
    AudioKind,
    ForwardPath,
    GestureConfig,
    GlobalMotionConfig,
    MotionEncoderConfig,
    MotionKind,
    PartVaeConfig,
    QuantizerKind,
    WordConfig,
    from_mapping,
    live_config,
    published_audio_config,
    published_text_config,
    to_mapping,
)
from engine.errors import ConfigError


@pytest.mark.parametrize(
    "config",
    [
        live_config(70, 300),
        published_audio_config(),
        published_text_config(11195),
        PartVaeConfig(78, causal=True),
        PartVaeConfig(78, codes=60, quantizer=QuantizerKind.FSQ, levels=(5, 4, 3)),
        GlobalMotionConfig(61),
    ],
    ids=["live", "audio", "text", "vae", "fsq", "global"],
)
def test_the_designs_pass_through_a_mapping(config: object) -> None:
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
        (lambda: GlobalMotionConfig(8, layers=0), "layers"),
        (lambda: AudioEncoderConfig(AudioKind.FEATURES, 8), "dilations"),
        (lambda: AudioEncoderConfig(AudioKind.WAVE, 1, dilations=(1,)), "dilations"),
        (lambda: AudioEncoderConfig(AudioKind.FEATURES, 8, dilations=(1, 0)), "dilations"),
        (lambda: AudioEncoderConfig(AudioKind.WAVE, 1, width=18), "width"),
        (lambda: WordConfig(0), "vocabulary"),
        (lambda: WordConfig(5, attention_layers=3), "attention_layers"),
        (lambda: MotionEncoderConfig(layers=0), "layers"),
        (lambda: MotionEncoderConfig(MotionKind.SPATIAL, channels=61), "channels"),
        (lambda: GestureConfig(FEATURES, motion=ODD), r"motion\.width"),
        (lambda: GestureConfig(FEATURES, path=ForwardPath.FUSION, aligned=True), "aligned"),
        (lambda: AudioEncoderConfig(AudioKind.FEATURES, 8, dilations=(1,), heard=(4, 9)), "heard"),
        (lambda: AudioEncoderConfig(AudioKind.FEATURES, 8, dilations=(1,), heard=(4, 4)), "heard"),
        (lambda: AudioEncoderConfig(AudioKind.WAVE, 2, heard=(0, 1)), "heard"),
        (lambda: GestureConfig(FEATURES, width=30), "width"),
        (lambda: GestureConfig(FEATURES, width=15, heads=3), "width"),
        (lambda: GestureConfig(FEATURES, dropout=1.0), "dropout"),
        (lambda: GestureConfig(FEATURES, speakers=0), "speakers"),
    ],
)
def test_a_number_out_of_range_is_refused(make, name: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=rf"^{name} must be"):
        make()
