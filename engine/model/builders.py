"""Builders: the only place where a configuration's numbers become modules."""

from torch import nn

from engine.config import (
    AudioEncoderConfig,
    AudioKind,
    GestureConfig,
    GlobalMotionConfig,
    MotionEncoderConfig,
    MotionKind,
    PartVaeConfig,
    WordConfig,
)
from engine.model.audio_encoder import FeatureEncoder, WaveEncoder
from engine.model.conv import ConvDecoder, ConvEncoder
from engine.model.cra import ContentRhythmAttention, SpeechBranch, SpeechEncoder
from engine.model.gesture import BodyDecoder, FaceDecoder, GestureModel, PartRefiner
from engine.model.global_motion import GlobalMotion
from engine.model.layers import DecoderLayer, DecoderStack, EncoderLayer, Mlp, PeriodicPositions
from engine.model.motion_encoder import MaskedMotionEncoder
from engine.model.part_vae import PartVae
from engine.model.vector_quantizer import VectorQuantizer
from engine.skeleton import BodyPart

NO_WORD = 0
"""Index of the word table's row for silence: zeros, and never trained."""


PARTS_OF_BODY = (BodyPart.UPPER, BodyPart.HANDS, BodyPart.LOWER)


def _projection(channels_in: int, channels_out: int) -> nn.Module:
    if channels_in == channels_out:
        return nn.Identity()
    return nn.Linear(channels_in, channels_out)


def build_part_vae(config: PartVaeConfig) -> PartVae:
    """The VQ-VAE of one part, with fresh weights."""
    width, causal = config.width, config.causal
    return PartVae(
        encoder=ConvEncoder(config.channels, width, config.layers, causal=causal),
        to_code=_projection(width, config.code_dim),
        quantizer=VectorQuantizer(config.codes, config.code_dim, commitment=config.commitment),
        from_code=_projection(config.code_dim, width),
        decoder=ConvDecoder(width, config.channels, config.layers, causal=causal),
    )


def build_global_motion(config: GlobalMotionConfig) -> GlobalMotion:
    """The network from lower-body motion to global motion, with fresh weights."""
    width, causal = config.width, config.causal
    return GlobalMotion(
        encoder=ConvEncoder(config.channels, width, config.layers, causal=causal),
        decoder=ConvDecoder(width, config.out, config.layers, causal=causal),
    )


def _audio(config: AudioEncoderConfig) -> nn.Module:
    if config.kind is AudioKind.WAVE:
        return WaveEncoder(config.channels, config.width)
    return FeatureEncoder(config.channels, config.width, config.dilations, config.kernel)


def _table(config: WordConfig) -> nn.Embedding:
    return nn.Embedding(config.vocabulary, config.width, padding_idx=NO_WORD)


def _branch(audio: AudioEncoderConfig, words: WordConfig | None, slope: float) -> SpeechBranch:
    width = audio.width
    encoder = nn.Linear(width, width) if audio.shared else _audio(audio)
    if words is None:
        return SpeechBranch(encoder)
    content: nn.Module = nn.Linear(words.width, width)
    if not words.shared:
        content = nn.Sequential(_table(words), content)
    score: nn.Module = nn.Linear(2 * width, 2 * width)
    if words.attention_layers == 2:
        score = Mlp(2 * width, width, 2 * width, slope)
    return SpeechBranch(encoder, content, ContentRhythmAttention(score))


def _speech(audio: AudioEncoderConfig, words: WordConfig | None, slope: float) -> SpeechEncoder:
    return SpeechEncoder(
        trunk=_audio(audio) if audio.shared else nn.Identity(),
        table=_table(words) if words is not None and words.shared else nn.Identity(),
        face=_branch(audio, words, slope),
        body=_branch(audio, words, slope),
    )


def _motion(config: MotionEncoderConfig) -> MaskedMotionEncoder:
    channels, width = config.channels, config.width
    if config.kind is MotionKind.CONV:
        return MaskedMotionEncoder(channels, None, ConvEncoder(channels, width, config.layers))
    embed = nn.Linear(2 * channels, width)
    return MaskedMotionEncoder(channels, embed, ConvEncoder(width, width, config.layers))


def _encoder_layer(config: GestureConfig) -> EncoderLayer:
    hidden = config.width * config.feed_forward
    dropouts = (config.dropout, config.attention_dropout)
    return EncoderLayer(config.width, config.heads, hidden, *dropouts)


def _stack(config: GestureConfig, layers: int) -> DecoderStack:
    hidden = config.width * config.feed_forward
    dropouts = (config.dropout, config.attention_dropout)
    return DecoderStack(
        [DecoderLayer(config.width, config.heads, hidden, *dropouts) for _ in range(layers)]
    )


def _face(config: GestureConfig) -> FaceDecoder:
    return FaceDecoder(
        project=nn.Linear(config.audio.width + config.motion.width, config.width),
        layers=_stack(config, config.face_layers),
        out=nn.Linear(config.width, config.code_dim),
        aligned=config.aligned,
    )


def _refiner(config: GestureConfig) -> PartRefiner:
    return PartRefiner(
        layers=_stack(config, config.refine_layers),
        out=nn.Linear(config.width, config.code_dim),
    )


def _body(config: GestureConfig) -> BodyDecoder:
    width = config.width
    return BodyDecoder(
        project_hint=nn.Linear(config.motion.width, width),
        project_audio=nn.Linear(config.audio.width, width),
        self_attention=[_encoder_layer(config) for _ in range(config.self_layers)],
        cross_attention=_stack(config, config.cross_layers),
        mlps=[Mlp(width, width, width, config.slope) for _ in PARTS_OF_BODY],
        refiners=[_refiner(config) for _ in PARTS_OF_BODY],
        query_speaker=config.query_speaker,
        refine_position=config.refine_position,
        aligned=config.aligned,
    )


def build_gesture_model(config: GestureConfig) -> GestureModel:
    """The gesture transformer of any design, with fresh weights."""
    width, motion = config.width, config.motion.width
    return GestureModel(
        speech=_speech(config.audio, config.words, config.slope),
        motion=_motion(config.motion),
        hints=(Mlp(motion, width, motion, config.slope), Mlp(motion, width, motion, config.slope)),
        positions=PeriodicPositions(width, config.period),
        speakers=(nn.Embedding(config.speakers, width), nn.Embedding(config.speakers, width)),
        face=_face(config),
        body=_body(config),
        classifiers=[Mlp(config.code_dim, width, config.codes, config.slope) for _ in BodyPart],
    )
