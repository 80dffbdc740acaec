"""Configuration of the networks: frozen dataclasses that validate their values.

`engine.model.builders` builds modules from them; `engine.config.serialize` reads and writes them.
Every class raises ConfigError for a value out of range.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from engine.config.serialize import require
from engine.motion.channels import MOTION


def _at_least_one(config: object, *names: str) -> None:
    for name in names:
        require(getattr(config, name) >= 1, name, "at least 1", getattr(config, name))


class QuantizerKind(StrEnum):
    """Quantiser of a part's latents."""

    PLAIN = "plain"  # one codebook, trained by gradients (eq. 4)
    EMA = "ema"  # one codebook, trained by moving averages; same inference as PLAIN
    RESIDUAL = "residual"  # several codebooks, each quantising the residual of the previous ones
    FSQ = "fsq"  # finite scalar quantisation: no codebook, each channel rounded to a level


@dataclass(frozen=True)
class PartVaeConfig:
    """VQ-VAE of one body part.

    Attributes:
        channels: width of the part's motion vector.
        width: channels of the convolutions.
        code_dim: width D of a codebook vector.
        codes: codebook size V, of each codebook for RESIDUAL; for FSQ the product of `levels`.
        layers: blocks of the encoder, and convolutions of the decoder.
        causal: true if no output frame depends on a later input frame.
        commitment: weight of the commitment loss (eq. 4, last term).
        quantizer: kind of quantiser.
        stages: number of codebooks; 1 unless the quantiser is RESIDUAL.
        levels: quantisation levels of each FSQ channel; empty for the other quantisers.

    """

    channels: int
    width: int = 256
    code_dim: int = 256
    codes: int = 256
    layers: int = 2
    causal: bool = False
    commitment: float = 1.0
    quantizer: QuantizerKind = QuantizerKind.PLAIN
    stages: int = 1
    levels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "width", "code_dim", "codes", "layers", "stages")
        require(self.commitment >= 0.0, "commitment", "0 or more", self.commitment)
        single = self.stages == 1 or self.quantizer is QuantizerKind.RESIDUAL
        require(single, "stages", "1 unless the quantizer is residual", self.stages)
        fsq = self.quantizer is QuantizerKind.FSQ
        require(bool(self.levels) == fsq, "levels", "given for fsq only", self.levels)
        require(all(n >= 2 for n in self.levels), "levels", "2 or more each", self.levels)
        fits = not fsq or self.codes == math.prod(self.levels)
        require(fits, "codes", f"the product of the levels {self.levels}", self.codes)


@dataclass(frozen=True)
class RootModelConfig:
    """Network that predicts root motion (EMAGE's global motion) from the lower body.

    Attributes:
        channels: width of the input, the lower body's vector or `LOCAL_MOTION`.
        out: output channels; 3 for a translation.
        width: channels of the convolutions.
        layers: blocks of the encoder, and convolutions of the decoder.
        causal: true if no output frame depends on a later input frame.
        masked_fields: fields of the input that are set to zero, as in the network's training.
        orthonormalize: true if decoded rotations are orthonormalised before they are the input.

    """

    channels: int
    out: int = 3
    width: int = 256
    layers: int = 4
    causal: bool = False
    masked_fields: tuple[str, ...] = ("translation",)
    orthonormalize: bool = False

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "out", "width", "layers")


class AudioKind(StrEnum):
    """Input of the audio encoder."""

    WAVE = "wave"  # samples, or channels at the sample rate (the published checkpoints)
    FEATURES = "features"  # causal features, one vector per frame


class FrontEnd(StrEnum):
    """Conversion of the audio into the network's input."""

    FEATURES = "features"  # causal features, one vector per frame
    WAVE = "wave"  # raw samples (emage-audio, 2025)
    RHYTHM = "rhythm"  # amplitude and onsets at the sample rate (emage-text, 2024)


@dataclass(frozen=True)
class AudioEncoderConfig:
    """Audio encoders of face and body: one vector of `width` per frame.

    Attributes:
        kind: input of the encoder.
        channels: input channels; 1 for a waveform, F for features.
        width: output channels.
        dilations: one dilated causal convolution each; FEATURES only.
        kernel: frames under each of these convolutions.
        shared: true for one encoder with a linear map for each of face and body, false for two.
        feature_range: first and last (exclusive) feature that is used; null for all.
        crop_body: true if encoder steps beyond the window's frames are cropped for the body too;
            false as in the reference implementation of 2025, whose body attends to one step more.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"heard": "feature_range"}

    kind: AudioKind
    channels: int
    width: int = 256
    dilations: tuple[int, ...] = ()
    kernel: int = 3
    shared: bool = False
    feature_range: tuple[int, int] | None = None
    crop_body: bool = True

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "width", "kernel")
        features = self.kind is AudioKind.FEATURES
        require(bool(self.dilations) == features, "dilations", "given for features only", self.kind)
        require(all(d >= 1 for d in self.dilations), "dilations", "1 or more", self.dilations)
        require(features or self.width % 4 == 0, "width", "a multiple of 4", self.width)
        if self.feature_range is not None:
            first, end = self.feature_range
            within = features and 0 <= first < end <= self.channels
            expected = f"a range within {self.channels} features"
            require(within, "feature_range", expected, self.feature_range)


@dataclass(frozen=True)
class WordConfig:
    """Word embeddings, fused with the audio by content-rhythm attention (eq. 5).

    Attributes:
        vocabulary: rows of the embedding table; row 0 stands for no word.
        width: width of a row.
        shared: true for one table for face and body.
        attention_layers: layers of the attention's score; 2 in the paper, 1 in published weights.

    """

    vocabulary: int
    width: int = 300
    shared: bool = False
    attention_layers: int = 2

    def __post_init__(self) -> None:
        _at_least_one(self, "vocabulary", "width")
        layers = self.attention_layers
        require(layers in (1, 2), "attention_layers", "1 or 2", layers)


@dataclass(frozen=True)
class OnsetConfig:
    """Stroke-onset detector (`engine.model.stroke_onset`).

    Attributes:
        lead_frames: frames from the onset to the stressed vowel, which is predicted.
        threshold: score (a logit) above which an onset is detected; lower gives more strokes.
        threshold_without_words: the same where no words are known, as scores are lower there; null
            for `threshold`.
        word_reach: frames to the nearest known word within which `threshold` applies, beyond which
            `threshold_without_words` does; null: `threshold` in all frames of a window with a word.
        gain: steepness of the onset gate, per unit of score.
        refractory_frames: minimum distance between two onsets, frames.
        hold_frames: frames for which the body decoder sees the onset signal.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "lead": "lead_frames",
        "wordless": "threshold_without_words",
        "sharpness": "gain",
        "apart": "refractory_frames",
        "memory": "hold_frames",
    }

    lead_frames: int = 3
    threshold: float = 0.0
    threshold_without_words: float | None = None
    word_reach: int | None = None
    gain: float = 8.0
    refractory_frames: int = 12
    hold_frames: int = 16

    def __post_init__(self) -> None:
        _at_least_one(self, "hold_frames")
        refractory, lead, reach = self.refractory_frames, self.lead_frames, self.word_reach
        require(refractory >= 2, "refractory_frames", "at least 2", refractory)
        require(lead >= 0, "lead_frames", "0 or more", lead)
        require(reach is None or reach >= 0, "word_reach", "0 or more", reach)
        require(self.gain > 0.0, "gain", "above 0", self.gain)


class MotionKind(StrEnum):
    """Encoder of a masked gesture: one vector per frame."""

    CONV = "conv"  # convolutions over time, without the mask (the published checkpoints)
    EMBED = "embed"  # a linear map of channels and mask, then convolutions over time
    SPATIAL = "spatial"  # attention over the joints of each frame (the paper)


@dataclass(frozen=True)
class MotionEncoderConfig:
    """Masked motion encoder.

    Attributes:
        kind: kind of encoder.
        channels: width of a motion vector.
        width: output channels.
        layers: convolutions, or attention layers for SPATIAL.

    """

    kind: MotionKind = MotionKind.CONV
    channels: int = 337
    width: int = 256
    layers: int = 3

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "width", "layers")
        fits = self.kind is not MotionKind.SPATIAL or self.channels == MOTION.width
        require(fits, "channels", f"{MOTION.width} to be split into joints", self.channels)


class BodyVariant(StrEnum):
    """Decoder from body hint and audio to the body's latents; the last three are in fig. 5."""

    PARTS = "parts"  # sum, then each part attends to the others (published checkpoints, ours)
    FUSION = "fusion"  # 5a: straightforward fusion
    SELF_ATTENTION = "self_attention"  # 5b: a self-attention decoder
    CROSS_ATTENTION = "cross_attention"  # 5c: the one selected in the paper (eq. 6, 7, 9)


@dataclass(frozen=True)
class GestureConfig:
    """Gesture transformer of any design.

    `speaker_in_query`, `position_in_refiner` and `attend_aligned` apply to PARTS only, which also
    has separate hints and speaker embeddings for face and body.

    Attributes:
        audio: audio encoders.
        words: word embeddings; null for audio alone.
        motion: masked motion encoder.
        width: width D of the attention layers.
        speakers: number of speakers.
        codes: codebook size V of every part.
        code_dim: width of a codebook vector.
        heads: attention heads; a divisor of `width`.
        feed_forward: hidden width of the feed-forward networks, in multiples of `width`.
        self_layers: layers of self-attention over time.
        cross_layers: layers that attend to the audio.
        face_layers: layers of the face decoder.
        refine_layers: layers after the fusion with the audio.
        period: period of the sinusoidal positions, frames.
        slope: negative slope of the perceptrons' leaky ReLU.
        dropout: dropout of the attention layers' outputs.
        attention_dropout: dropout of the attention weights.
        speaker_in_query: true if the query of the attention to audio carries the speaker.
        position_in_refiner: true if the refiners' queries carry the position.
        attend_aligned: true if queries and memory are matched per frame, see
            `engine.model.gesture.align`.
        body_variant: decoder of the body.
        self_attention_ffn: true if the self-attention over time has feed-forward networks.
        speech_dilations: one dilated causal convolution each over the fused speech features.
        onset: stroke-onset detector; null for none.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "query_speaker": "speaker_in_query",
        "refine_position": "position_in_refiner",
        "aligned": "attend_aligned",
        "path": "body_variant",
        "self_feed_forward": "self_attention_ffn",
        "cue": "onset",
    }

    audio: AudioEncoderConfig
    words: WordConfig | None = None
    motion: MotionEncoderConfig = MotionEncoderConfig()
    width: int = 768
    speakers: int = 1
    codes: int = 256
    code_dim: int = 256
    heads: int = 4
    feed_forward: int = 2
    self_layers: int = 1
    cross_layers: int = 8
    face_layers: int = 4
    refine_layers: int = 1
    period: int = 64
    slope: float = 0.1
    dropout: float = 0.1
    attention_dropout: float = 0.1
    speaker_in_query: bool = True
    position_in_refiner: bool = False
    attend_aligned: bool = False
    body_variant: BodyVariant = BodyVariant.PARTS
    self_attention_ffn: bool = True
    speech_dilations: tuple[int, ...] = ()
    onset: OnsetConfig | None = None

    def __post_init__(self) -> None:
        _at_least_one(self, "width", "speakers", "codes", "code_dim", "heads", "feed_forward")
        _at_least_one(self, "self_layers", "cross_layers", "face_layers", "refine_layers", "period")
        require(self.width % self.heads == 0, "width", "a multiple of heads", self.width)
        require(self.width % 2 == 0, "width", "even", self.width)
        fits = self.motion.kind is not MotionKind.SPATIAL or self.motion.width % self.heads == 0
        require(fits, "motion.width", "a multiple of heads", self.motion.width)
        parts = self.body_variant is BodyVariant.PARTS
        per_frame = self.words is not None or self.attend_aligned or not parts
        crops = self.audio.crop_body or not per_frame
        require(crops, "audio.crop_body", "true where features belong to frames", False)
        aligned = parts or not self.attend_aligned
        require(aligned, "attend_aligned", "false for a body variant of the paper", True)
        causal = all(d >= 1 for d in self.speech_dilations)
        require(causal, "speech_dilations", "1 or more", self.speech_dilations)
        for name in ("dropout", "attention_dropout"):
            require(0.0 <= getattr(self, name) < 1.0, name, "in [0, 1)", getattr(self, name))
