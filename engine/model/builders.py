"""Builders of modules from configurations."""

from torch import nn

from engine.config.model import (
    AudioEncoderConfig,
    AudioKind,
    BodyVariant,
    GestureConfig,
    MotionKind,
    PartVaeConfig,
    QuantizerKind,
    RootModelConfig,
    WordConfig,
)
from engine.model.audio_encoder import DilatedTaps, FeatureEncoder, WaveEncoder
from engine.model.body_variants import (
    AudioFusion,
    CrossAttentionPath,
    FusionPath,
    PathBody,
    SelfAttentionPath,
)
from engine.model.conv import ConvDecoder, ConvEncoder
from engine.model.gesture import BodyDecoder, FaceDecoder, GestureModel, PartRefiner
from engine.model.layers import DecoderLayer, DecoderStack, EncoderLayer, Mlp, PeriodicPositions
from engine.model.motion_encoder import MaskedMotionEncoder, SpatialMotionEncoder
from engine.model.part_vae import PartVae
from engine.model.quantizers.residual import ResidualQuantizer
from engine.model.quantizers.scalar import ScalarQuantizer
from engine.model.quantizers.vector import Quantizer, VectorQuantizer
from engine.model.root_motion import RootModel
from engine.model.speech_encoder import ContentRhythmAttention, SpeechBranch, SpeechEncoder
from engine.model.stroke_onset import StrokeOnsetDetector
from engine.motion.channels import MOTION_TOKENS
from engine.motion.skeleton import BodyPart

NO_WORD = 0
"""Row of the word table for frames without a word: zeros, never trained."""
_TAPS = 3  # frames under a convolution over speech features
PARTS_OF_BODY = (BodyPart.UPPER, BodyPart.HANDS, BodyPart.LOWER)


def _projection(channels_in: int, channels_out: int) -> nn.Module:
    if channels_in == channels_out:
        return nn.Identity()
    return nn.Linear(channels_in, channels_out)


def _codebook(config: PartVaeConfig) -> VectorQuantizer:
    return VectorQuantizer(config.codes, config.code_dim, commitment=config.commitment)


def _quantizer(config: PartVaeConfig) -> Quantizer:
    if config.quantizer is QuantizerKind.RESIDUAL:
        return ResidualQuantizer([_codebook(config) for _ in range(config.stages)])
    if config.quantizer is QuantizerKind.FSQ:
        width, count = config.code_dim, len(config.levels)
        inward, outward = _projection(width, count), _projection(count, width)
        return ScalarQuantizer(config.levels, width, inward, outward)
    return _codebook(config)


def build_part_vae(config: PartVaeConfig) -> PartVae:
    """Build the VQ-VAE of one part with random weights."""
    width, causal = config.width, config.causal
    return PartVae(
        encoder=ConvEncoder(config.channels, width, config.layers, causal=causal),
        to_code=_projection(width, config.code_dim),
        quantizer=_quantizer(config),
        from_code=_projection(config.code_dim, width),
        decoder=ConvDecoder(width, config.channels, config.layers, causal=causal),
    )


def build_root_model(config: RootModelConfig) -> RootModel:
    """Build the network of the root motion with random weights."""
    width, causal = config.width, config.causal
    return RootModel(
        encoder=ConvEncoder(config.channels, width, config.layers, causal=causal),
        decoder=ConvDecoder(width, config.out, config.layers, causal=causal),
    )


def _audio(config: AudioEncoderConfig) -> nn.Module:
    if config.kind is AudioKind.WAVE:
        return WaveEncoder(config.channels, config.width)
    return FeatureEncoder(
        config.channels, config.width, config.dilations, config.kernel, config.feature_range
    )


def _table(config: WordConfig) -> nn.Embedding:
    return nn.Embedding(config.vocabulary, config.width, padding_idx=NO_WORD)


def _branch(config: GestureConfig, *, crop: bool = True) -> SpeechBranch:
    audio, words, slope = config.audio, config.words, config.slope
    width = audio.width
    encoder = nn.Linear(width, width) if audio.shared else _audio(audio)
    after = [DilatedTaps(width, _TAPS, dilation) for dilation in config.speech_dilations]
    if words is None:
        return SpeechBranch(encoder, after=after, crop=crop)
    content: nn.Module = nn.Linear(words.width, width)
    if not words.shared:
        content = nn.Sequential(_table(words), content)
    score: nn.Module = nn.Linear(2 * width, 2 * width)
    if words.attention_layers == 2:
        score = Mlp(2 * width, width, 2 * width, slope)
    return SpeechBranch(encoder, content, ContentRhythmAttention(score), after)


def _speech(config: GestureConfig) -> SpeechEncoder:
    audio, words = config.audio, config.words
    return SpeechEncoder(
        trunk=_audio(audio) if audio.shared else nn.Identity(),
        table=_table(words) if words is not None and words.shared else nn.Identity(),
        face=_branch(config),
        body=_branch(config, crop=audio.crop_body),
    )


def _onset_detector(config: GestureConfig) -> StrokeOnsetDetector | None:
    onset, width = config.onset, config.audio.width
    if onset is None:
        return None
    return StrokeOnsetDetector(
        Mlp(width, width, 1, config.slope),
        nn.Embedding(config.speakers, width),
        nn.Conv1d(1, width, onset.hold_frames),
        threshold=onset.threshold,
        threshold_without_words=(
            onset.threshold
            if onset.threshold_without_words is None
            else onset.threshold_without_words
        ),
        word_reach=onset.word_reach,
        gain=onset.gain,
        refractory_frames=onset.refractory_frames,
    )


def _motion(config: GestureConfig) -> MaskedMotionEncoder | SpatialMotionEncoder:
    kind, layers = config.motion.kind, config.motion.layers
    channels, width = config.motion.channels, config.motion.width
    if kind is MotionKind.SPATIAL:
        spatial = [_encoder_layer(config, width) for _ in range(layers)]
        return SpatialMotionEncoder(MOTION_TOKENS, width, spatial)
    if kind is MotionKind.CONV:
        return MaskedMotionEncoder(channels, None, ConvEncoder(channels, width, layers))
    embed = nn.Linear(2 * channels, width)
    return MaskedMotionEncoder(channels, embed, ConvEncoder(width, width, layers))


def _encoder_layer(config: GestureConfig, width: int, *, ffn: bool = True) -> EncoderLayer:
    hidden = width * config.feed_forward if ffn else None
    return EncoderLayer(width, config.heads, hidden, config.dropout, config.attention_dropout)


def _self_attention(config: GestureConfig) -> list[EncoderLayer]:
    ffn = config.self_attention_ffn
    return [_encoder_layer(config, config.width, ffn=ffn) for _ in range(config.self_layers)]


def _stack(config: GestureConfig, layers: int) -> DecoderStack:
    hidden = config.width * config.feed_forward
    dropouts = (config.dropout, config.attention_dropout)
    return DecoderStack(
        [DecoderLayer(config.width, config.heads, hidden, *dropouts) for _ in range(layers)]
    )


def _face(config: GestureConfig) -> FaceDecoder:
    # In the paper the face hint is h (eq. 10), which has the width of the layers.
    hint = config.motion.width if config.body_variant is BodyVariant.PARTS else config.width
    return FaceDecoder(
        project=nn.Linear(config.audio.width + hint, config.width),
        layers=_stack(config, config.face_layers),
        out=nn.Linear(config.width, config.code_dim),
        attend_aligned=config.attend_aligned,
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
        self_attention=_self_attention(config),
        cross_attention=_stack(config, config.cross_layers),
        mlps=[Mlp(width, width, width, config.slope) for _ in PARTS_OF_BODY],
        refiners=[_refiner(config) for _ in PARTS_OF_BODY],
        speaker_in_query=config.speaker_in_query,
        position_in_refiner=config.position_in_refiner,
        attend_aligned=config.attend_aligned,
    )


def _fusion(config: GestureConfig) -> AudioFusion:
    project = nn.Linear(config.audio.width, config.width)
    return AudioFusion(project, _stack(config, config.cross_layers))


def _path(config: GestureConfig) -> nn.Module:
    width, layers = config.width, config.refine_layers
    if config.body_variant is BodyVariant.FUSION:
        project = nn.Linear(config.audio.width + width, width)
        return FusionPath(project, _stack(config, config.cross_layers))
    if config.body_variant is BodyVariant.SELF_ATTENTION:
        decoder = [_encoder_layer(config, width) for _ in range(layers)]
        return SelfAttentionPath(_fusion(config), decoder)
    return CrossAttentionPath(_fusion(config), _stack(config, layers))


def _path_body(config: GestureConfig) -> PathBody:
    return PathBody(
        project_hint=nn.Linear(config.motion.width, config.width),
        self_attention=_self_attention(config),
        path=_path(config),
        out=[nn.Linear(config.width, config.code_dim) for _ in PARTS_OF_BODY],
    )


def _hint(config: GestureConfig) -> Mlp:
    return Mlp(config.motion.width, config.width, config.motion.width, config.slope)


def _speaker(config: GestureConfig) -> nn.Embedding:
    return nn.Embedding(config.speakers, config.width)


def _classifier(config: GestureConfig) -> Mlp:
    return Mlp(config.code_dim, config.width, config.codes, config.slope)


def build_gesture_model(config: GestureConfig) -> GestureModel:
    """Build the gesture transformer of any design with random weights."""
    parts = config.body_variant is BodyVariant.PARTS
    return GestureModel(
        speech=_speech(config),
        motion=_motion(config),
        hints=(_hint(config), _hint(config)) if parts else (None, nn.Identity()),
        positions=PeriodicPositions(config.width, config.period),
        speakers=(_speaker(config) if parts else None, _speaker(config)),
        face=_face(config),
        body=_body(config) if parts else _path_body(config),
        classifiers=[_classifier(config) for _ in BodyPart],
        onset_detector=_onset_detector(config),
    )
