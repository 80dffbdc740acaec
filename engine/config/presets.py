"""Presets of `GestureConfig`: published checkpoints, our live design, and the paper's design.

Values of the paper's design that EMAGE (CVPR 2024) states: 337 input channels, tokens of width 256,
h of width 512, windows of 64 frames, four codebooks of 256 x 512, rhythm through a temporal
convolutional network, content through a linear map, a 2-layer perceptron for alpha (for face and
body each), self-attention over time without feed-forward, root motion from 334 channels to 3.

Values taken from the checkpoints of 2024 by the same authors, because the paper does not state
them: heads, decoder depths, feed-forward width, dropout, slope, width of the speech features,
period of the positions, width of the words.

Own choices, stated by neither: two layers of spatial attention (joints attend to each other in the
first, CLS attends to the result in the second), one word table for face and body.

The paper's rhythm is "onset and amplitude", without rate or network size. Here it is the onset and
level channels of our causal features, per frame, through the causal network of the live design, so
that the paper's design trains on the same corpora and streams without look-ahead. For amplitude
and onsets at the sample rate, as in the checkpoints of 2024, replace `audio` with an encoder of
kind WAVE with two channels.
"""

from engine.config.features import DEFAULT_FEATURES, FeatureConfig
from engine.config.model import (
    AudioEncoderConfig,
    AudioKind,
    BodyVariant,
    GestureConfig,
    MotionEncoderConfig,
    MotionKind,
    OnsetConfig,
    WordConfig,
)

_SPATIAL_LAYERS = 2
_DILATIONS = (1, 2, 4, 8)


def published_audio_config(
    *,
    width: int = 768,
    audio_width: int = 256,
    motion_width: int = 256,
    codes: int = 256,
    code_dim: int = 256,
    speakers: int = 1,
) -> GestureConfig:
    """Design of `emage-audio`, the audio checkpoints of 2025."""
    return GestureConfig(
        audio=AudioEncoderConfig(AudioKind.WAVE, channels=1, width=audio_width, crop_body=False),
        motion=MotionEncoderConfig(width=motion_width),
        width=width,
        speakers=speakers,
        codes=codes,
        code_dim=code_dim,
    )


def published_text_config(
    vocabulary: int,
    *,
    width: int = 768,
    audio_width: int = 256,
    motion_width: int = 256,
    codes: int = 256,
    code_dim: int = 256,
    speakers: int = 25,
) -> GestureConfig:
    """Design of `emage-text`, the checkpoints of 2024; audio is amplitude and onsets."""
    return GestureConfig(
        audio=AudioEncoderConfig(AudioKind.WAVE, channels=2, width=audio_width),
        words=WordConfig(vocabulary, attention_layers=1),
        motion=MotionEncoderConfig(width=motion_width),
        width=width,
        speakers=speakers,
        codes=codes,
        code_dim=code_dim,
        slope=0.2,
        speaker_in_query=False,
        position_in_refiner=True,
    )


def live_config(
    features: int,
    vocabulary: int,
    speakers: int = 1,
    width: int = 96,
    *,
    codes: int = 256,
    code_dim: int = 64,
    channels: int = 337,
    word_width: int = 32,
    speech_dilations: tuple[int, ...] = (),
    onset: OnsetConfig | None = None,
) -> GestureConfig:
    """Our live design, for one CPU core; causal from audio to features.

    features: width F of a feature vector. vocabulary: rows of the word table, PAD included.
    """
    return GestureConfig(
        audio=AudioEncoderConfig(
            AudioKind.FEATURES, features, width, dilations=_DILATIONS, shared=True
        ),
        words=WordConfig(vocabulary, word_width, shared=True),
        motion=MotionEncoderConfig(MotionKind.EMBED, channels, width, layers=1),
        width=width,
        speakers=speakers,
        codes=codes,
        code_dim=code_dim,
        cross_layers=2,
        face_layers=1,
        attention_dropout=0.0,  # half of a training step on a CPU, for little gain
        position_in_refiner=True,
        attend_aligned=True,
        speech_dilations=speech_dilations,
        onset=onset,
    )


def paper_config(
    vocabulary: int,
    *,
    body_variant: BodyVariant = BodyVariant.CROSS_ATTENTION,
    width: int = 512,
    audio_width: int = 256,
    motion_width: int = 256,
    word_width: int = 300,
    codes: int = 256,
    code_dim: int = 512,
    speakers: int = 25,
    features: FeatureConfig = DEFAULT_FEATURES,
) -> GestureConfig:
    """The paper's design, with any of the body variants of fig. 5.

    vocabulary: rows of the word table, PAD included.
    """
    rhythm = (features.groups["onset"].start, features.groups["level"].stop)
    return GestureConfig(
        audio=AudioEncoderConfig(
            AudioKind.FEATURES,
            features.width,
            audio_width,
            dilations=_DILATIONS,
            feature_range=rhythm,
        ),
        words=WordConfig(vocabulary, word_width, shared=True),
        motion=MotionEncoderConfig(MotionKind.SPATIAL, width=motion_width, layers=_SPATIAL_LAYERS),
        width=width,
        speakers=speakers,
        codes=codes,
        code_dim=code_dim,
        slope=0.2,
        body_variant=body_variant,
        self_attention_ffn=False,
    )
