"""Configurations: frozen dataclasses that check themselves.

Knows the numbers that describe a network, not the networks (`engine.model.builders` turns the one
into the other), and not how they are written (`engine.config.serialize`).
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from engine.config.serialize import from_mapping as from_mapping
from engine.config.serialize import require as require
from engine.config.serialize import to_mapping as to_mapping
from engine.motion.channels import MOTION


def _at_least_one(config: object, *names: str) -> None:
    for name in names:
        require(getattr(config, name) >= 1, name, "at least 1", getattr(config, name))


class QuantizerKind(StrEnum):
    """How a latent becomes a code."""

    PLAIN = "plain"  # one codebook, learned by gradients (eq. 4)
    EMA = "ema"  # one codebook that learned by moving averages; runs as PLAIN does
    RESIDUAL = "residual"  # several codebooks, each for what those before it left over
    FSQ = "fsq"  # no codebook: a few channels, each rounded to one of its levels


@dataclass(frozen=True)
class PartVaeConfig:
    """The VQ-VAE of one part.

    channels: width of the part's vector. codes x code_dim: the codebook (V, D); each of the
    codebooks for RESIDUAL, which has `stages` of them. levels: for FSQ, of each channel; their
    product is the number of codes. layers: blocks in the encoder and convolutions in the decoder.
    causal: no frame sees a later one.
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
        one = self.stages == 1 or self.quantizer is QuantizerKind.RESIDUAL
        require(one, "stages", "1 unless the quantizer is residual", self.stages)
        fsq = self.quantizer is QuantizerKind.FSQ
        require(bool(self.levels) == fsq, "levels", "given for fsq only", self.levels)
        require(all(n >= 2 for n in self.levels), "levels", "2 or more each", self.levels)
        fits = not fsq or self.codes == math.prod(self.levels)
        require(fits, "codes", f"the product of the levels {self.levels}", self.codes)


@dataclass(frozen=True)
class GlobalMotionConfig:
    """Lower-body vectors of `channels` in, `out` numbers of global motion out."""

    channels: int
    out: int = 3
    width: int = 256
    layers: int = 4
    causal: bool = False

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "out", "width", "layers")


class AudioKind(StrEnum):
    """What the audio encoder takes."""

    WAVE = "wave"  # samples, or channels at the rate of samples (the published checkpoints)
    FEATURES = "features"  # causal features, one vector a frame


class FrontEnd(StrEnum):
    """What is made of the sound before the network sees it."""

    FEATURES = "features"  # causal features, one vector a frame
    WAVE = "wave"  # the samples themselves (the audio checkpoints of 2025)
    RHYTHM = "rhythm"  # amplitude and onsets at the rate of samples (the text checkpoints of 2024)


@dataclass(frozen=True)
class AudioEncoderConfig:
    """From sound to one vector of `width` a frame, for the face and for the body.

    channels: 1 for a waveform, F for features. dilations: one convolution each (features only).
    shared: one network for both with a linear map for each, instead of two networks. heard: the
    only features that reach the network, from the first to before the last; all unless given.
    crop_body: whether features beyond the window's frames are cropped for the body too. The program
    of 2025 crops them for the face only: the body attends to one frame more.
    """

    kind: AudioKind
    channels: int
    width: int = 256
    dilations: tuple[int, ...] = ()
    kernel: int = 3
    shared: bool = False
    heard: tuple[int, int] | None = None
    crop_body: bool = True

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "width", "kernel")
        features = self.kind is AudioKind.FEATURES
        require(bool(self.dilations) == features, "dilations", "given for features only", self.kind)
        require(all(d >= 1 for d in self.dilations), "dilations", "1 or more", self.dilations)
        require(features or self.width % 4 == 0, "width", "a multiple of 4", self.width)
        if self.heard is not None:
            within = features and 0 <= self.heard[0] < self.heard[1] <= self.channels
            require(within, "heard", f"a range within {self.channels} features", self.heard)


@dataclass(frozen=True)
class WordConfig:
    """From word indices to content, fused with rhythm by content-rhythm attention (eq. 5).

    vocabulary: rows of the table, index 0 being no word. width: of a row. shared: one table for
    face and body. attention_layers: 2 as in the paper, 1 as in the published weights.
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
class CueConfig:
    """When hands set out for a stroke, decided from speech alone (`engine.model.stroke_onset`).

    lead: frames from setting out to the stressed vowel, which has to be foreseen. threshold: the
    score (a logit) from which on they set out: the lower, the more strokes. wordless: the same
    where no words are known, when scores are lower; as threshold unless given. word_reach: frames
    from a frame to the nearest known word up to which `threshold` holds, and beyond which
    `wordless` does; None: `threshold` holds in all frames of a window that has a known word.
    sharpness: gain of the onset gate, per unit of score. apart: minimum number of frames between
    two onsets. memory: number of frames for which the body decoder sees the onset signal.
    """

    lead: int = 3
    threshold: float = 0.0
    wordless: float | None = None
    word_reach: int | None = None
    sharpness: float = 8.0
    apart: int = 12
    memory: int = 16

    def __post_init__(self) -> None:
        _at_least_one(self, "memory")
        require(self.apart >= 2, "apart", "at least 2", self.apart)
        require(self.lead >= 0, "lead", "0 or more", self.lead)
        reach = self.word_reach
        require(reach is None or reach >= 0, "word_reach", "0 or more", reach)
        require(self.sharpness > 0.0, "sharpness", "above 0", self.sharpness)


class MotionKind(StrEnum):
    """How a masked gesture becomes one vector a frame."""

    CONV = "conv"  # convolutions over time, blind to the mask (the published checkpoints)
    EMBED = "embed"  # a linear map of channels and mask, then convolutions over time
    SPATIAL = "spatial"  # attention over the joints of each frame (the paper)


@dataclass(frozen=True)
class MotionEncoderConfig:
    """The masked motion encoder: `channels` of a motion vector in, `layers` of convolutions, or of
    attention for SPATIAL.
    """

    kind: MotionKind = MotionKind.CONV
    channels: int = 337
    width: int = 256
    layers: int = 3

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "width", "layers")
        whole = self.kind is not MotionKind.SPATIAL or self.channels == MOTION.width
        require(whole, "channels", f"{MOTION.width} to be cut into joints", self.channels)


class ForwardPath(StrEnum):
    """From body hint and audio to the body's latents; the last three are those of fig. 5."""

    PARTS = "parts"  # added up, then each part looks at the others (the checkpoints, our own)
    FUSION = "fusion"  # 5a: straightforward fusion
    SELF_ATTENTION = "self_attention"  # 5b: a self-attention decoder
    CROSS_ATTENTION = "cross_attention"  # 5c: the one that the paper selects (eq. 6, 7, 9)


@dataclass(frozen=True)
class GestureConfig:
    """The gesture transformer of any design.

    width: of its layers. codes x code_dim: the parts' codebooks. feed_forward: times width.
    period: of the positions, in frames. slope: of the perceptrons' leaky ReLU. attention_dropout:
    of the attention weights. self_feed_forward: of the self-attention over time. path: PARTS alone
    has query_speaker, refine_position, aligned (see `engine.model.gesture`), and hints and speakers
    of their own for face and body. refine_layers: of what follows the fusion with the audio.
    speech_dilations: one causal convolution each over speech features once sound and words are
    joined. cue: strokes are decided upon before the body moves; None leaves them to the codes.
    """

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
    query_speaker: bool = True
    refine_position: bool = False
    aligned: bool = False
    path: ForwardPath = ForwardPath.PARTS
    self_feed_forward: bool = True
    speech_dilations: tuple[int, ...] = ()
    cue: CueConfig | None = None

    def __post_init__(self) -> None:
        _at_least_one(self, "width", "speakers", "codes", "code_dim", "heads", "feed_forward")
        _at_least_one(self, "self_layers", "cross_layers", "face_layers", "refine_layers", "period")
        require(self.width % self.heads == 0, "width", "a multiple of heads", self.width)
        require(self.width % 2 == 0, "width", "even", self.width)
        fits = self.motion.kind is not MotionKind.SPATIAL or self.motion.width % self.heads == 0
        require(fits, "motion.width", "a multiple of heads", self.motion.width)
        framed = self.words is not None or self.aligned or self.path is not ForwardPath.PARTS
        free = self.audio.crop_body or not framed
        require(free, "audio.crop_body", "true where features belong to frames", False)
        plain = self.path is ForwardPath.PARTS or not self.aligned
        require(plain, "aligned", "false on a path of the paper", self.aligned)
        ahead = all(d >= 1 for d in self.speech_dilations)
        require(ahead, "speech_dilations", "1 or more", self.speech_dilations)
        for name in ("dropout", "attention_dropout"):
            require(0.0 <= getattr(self, name) < 1.0, name, "in [0, 1)", getattr(self, name))


def published_audio_config(
    *,
    width: int = 768,
    audio_width: int = 256,
    motion_width: int = 256,
    codes: int = 256,
    code_dim: int = 256,
    speakers: int = 1,
) -> GestureConfig:
    """Design A: the audio checkpoints of 2025."""
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
    """Design B: the text and audio checkpoints of 2024, with amplitude and onsets as channels."""
    return GestureConfig(
        audio=AudioEncoderConfig(AudioKind.WAVE, channels=2, width=audio_width),
        words=WordConfig(vocabulary, attention_layers=1),
        motion=MotionEncoderConfig(width=motion_width),
        width=width,
        speakers=speakers,
        codes=codes,
        code_dim=code_dim,
        slope=0.2,
        query_speaker=False,
        refine_position=True,
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
    cue: CueConfig | None = None,
) -> GestureConfig:
    """Design L: our own, small enough for one CPU core, causal from sound to audio feature.

    features: F of the feature extractor. vocabulary: rows of the word table, PAD included.
    """
    return GestureConfig(
        audio=AudioEncoderConfig(
            AudioKind.FEATURES, features, width, dilations=(1, 2, 4, 8), shared=True
        ),
        words=WordConfig(vocabulary, word_width, shared=True),
        motion=MotionEncoderConfig(MotionKind.EMBED, channels, width, layers=1),
        width=width,
        speakers=speakers,
        codes=codes,
        code_dim=code_dim,
        cross_layers=2,
        face_layers=1,
        attention_dropout=0.0,  # half of a training step on a CPU, for little
        refine_position=True,
        aligned=True,
        speech_dilations=speech_dilations,
        cue=cue,
    )
