"""Configurations: frozen dataclasses that check themselves, to and from JSON-like mappings.

Knows the numbers that describe a network, not the networks (`engine.model.builders` turns the one
into the other). Any frozen dataclass of plain values can pass through `from_mapping`.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum, StrEnum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from engine.errors import ConfigError

T = TypeVar("T")


def from_mapping(cls: type[T], mapping: Mapping[str, Any], path: str = "") -> T:
    """A `cls` (a dataclass) filled from `mapping`.

    Fields may be bool, int, float, str, enums (by value), other dataclasses, tuples, string-keyed
    dicts, and any of these or None. Raises ConfigError, naming the path of the value, for an
    unknown key, a missing one, a value of the wrong type, or one the dataclass itself refuses.
    """
    place = path or cls.__name__
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{place}: expected an object of {cls.__name__}, got {mapping!r}")
    known = {f.name: f for f in fields(cls) if f.init}  # type: ignore[arg-type]
    unknown = [key for key in mapping if key not in known]
    if unknown:
        raise ConfigError(f"{place}: unknown key {unknown[0]!r}; expected {', '.join(known)}")
    required = [f.name for f in known.values() if f.default is f.default_factory is MISSING]
    missing = [name for name in required if name not in mapping]
    if missing:
        raise ConfigError(f"{place}: key {missing[0]!r} is missing; add it")
    hints = get_type_hints(cls)
    values = {key: _value(hints[key], mapping[key], f"{place}.{key}") for key in mapping}
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error


def to_mapping(config: object) -> dict[str, Any]:
    """The mapping of dicts, lists, numbers and strings that `from_mapping` turns back."""
    if not is_dataclass(config) or isinstance(config, type):
        raise ConfigError(f"expected a dataclass to write, got {config!r}")
    return {f.name: _plain(getattr(config, f.name)) for f in fields(config) if f.init}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return to_mapping(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    return value


def _value(hint: Any, value: Any, path: str) -> Any:
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _optional(hint, value, path)
    if origin is tuple:
        return _tuple(get_args(hint), value, path)
    if origin in (dict, Mapping):
        return _dict(get_args(hint), value, path)
    if isinstance(hint, type) and is_dataclass(hint):
        return from_mapping(hint, value, path)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint, value, path)
    return _scalar(hint, value, path)


def _optional(hint: Any, value: Any, path: str) -> Any:
    members = [member for member in get_args(hint) if member is not type(None)]
    if len(members) != 1 or len(members) == len(get_args(hint)):
        raise TypeError(f"{path}: only unions with None can be read from a mapping, not {hint}")
    return None if value is None else _value(members[0], value, path)


def _tuple(arguments: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{path}: expected a list, got {value!r}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = arguments[:1] * len(value)
    if len(arguments) != len(value):
        raise ConfigError(f"{path}: expected {len(arguments)} values, got {len(value)}")
    pairs = zip(arguments, value, strict=True)
    return tuple(_value(hint, item, f"{path}[{i}]") for i, (hint, item) in enumerate(pairs))


def _dict(arguments: tuple[Any, ...], value: Any, path: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}: expected an object, got {value!r}")
    key_hint, hint = arguments
    return {
        _value(key_hint, key, path): _value(hint, item, f"{path}.{key}")
        for key, item in value.items()
    }


def _enum(hint: type[Enum], value: Any, path: str) -> Enum:
    try:
        return hint(value)
    except ValueError:
        options = ", ".join(repr(member.value) for member in hint)
        raise ConfigError(f"{path}: expected one of {options}, got {value!r}") from None


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{path}: expected {hint.__name__}, got {value!r}")
    return value


def require(holds: bool, name: str, expected: str, value: object) -> None:
    """Raise ConfigError "`name` must be `expected`, got `value`" unless `holds`."""
    if not holds:
        raise ConfigError(f"{name} must be {expected}, got {value!r}")


def _at_least_one(config: object, *names: str) -> None:
    for name in names:
        require(getattr(config, name) >= 1, name, "at least 1", getattr(config, name))


@dataclass(frozen=True)
class PartVaeConfig:
    """The VQ-VAE of one part.

    channels: width of the part's vector. codes x code_dim: the codebook (V, D). layers: blocks in
    the encoder and convolutions in the decoder. causal: no frame sees a later one.
    """

    channels: int
    width: int = 256
    code_dim: int = 256
    codes: int = 256
    layers: int = 2
    causal: bool = False
    commitment: float = 1.0

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "width", "code_dim", "codes", "layers")
        require(self.commitment >= 0.0, "commitment", "0 or more", self.commitment)


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
    shared: one network for both with a linear map for each, instead of two networks.
    """

    kind: AudioKind
    channels: int
    width: int = 256
    dilations: tuple[int, ...] = ()
    kernel: int = 3
    shared: bool = False

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "width", "kernel")
        features = self.kind is AudioKind.FEATURES
        require(bool(self.dilations) == features, "dilations", "given for features only", self.kind)
        require(all(d >= 1 for d in self.dilations), "dilations", "1 or more", self.dilations)
        require(features or self.width % 4 == 0, "width", "a multiple of 4", self.width)


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


class MotionKind(StrEnum):
    """How a masked gesture becomes one vector a frame."""

    CONV = "conv"  # convolutions over time, blind to the mask (the published checkpoints)
    EMBED = "embed"  # a linear map of channels and mask, then convolutions over time


@dataclass(frozen=True)
class MotionEncoderConfig:
    """The masked motion encoder: `channels` of a motion vector in, `layers` of convolutions."""

    kind: MotionKind = MotionKind.CONV
    channels: int = 337
    width: int = 256
    layers: int = 3

    def __post_init__(self) -> None:
        _at_least_one(self, "channels", "width", "layers")


@dataclass(frozen=True)
class GestureConfig:
    """The gesture transformer of any design.

    width: of its layers. codes x code_dim: the parts' codebooks. feed_forward: times width.
    period: of the positions, in frames. slope: of the perceptrons' leaky ReLU. attention_dropout:
    of the attention weights. query_speaker, refine_position, aligned: see `engine.model.gesture`.
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

    def __post_init__(self) -> None:
        _at_least_one(self, "width", "speakers", "codes", "code_dim", "heads", "feed_forward")
        _at_least_one(self, "self_layers", "cross_layers", "face_layers", "refine_layers", "period")
        require(self.width % self.heads == 0, "width", "a multiple of heads", self.width)
        require(self.width % 2 == 0, "width", "even", self.width)
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
        audio=AudioEncoderConfig(AudioKind.WAVE, channels=1, width=audio_width),
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
    )
