"""Maps the names of our tensors to those in the published checkpoints.

Both published networks equal ours except for names: no tensor is transposed, split or joined.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_BODY: Final = ("upper", "hands", "lower")  # the order of BodyPart without the face

AUDIO_PREFIXES: Final[Mapping[str, str]] = {
    "speech.face.audio.": "audio_encoder_face.",
    "speech.body.audio.": "audio_encoder_body.",
    "motion.mask_embedding": "mask_embedding",
    "motion.convolve.": "motion_encoder.",
    "face_hint.": "bodyhints_face.",
    "body_hint.": "bodyhints_body.",
    "face_speaker.": "speaker_embedding_face.",
    "body_speaker.": "speaker_embedding_body.",
    "face.project.": "audio_face_motion_proj.",
    "face.decoder.": "face_motion_decoder.",
    "face.out.": "face_out_proj.",
    "body.project_hint.": "moton_proj.",
    "body.project_audio.": "audio_body_motion_proj.",
    "body.self_attention.": "motion_self_encoder.layers.",
    "body.cross_attention.": "audio_motion_cross_attn.",
    **{f"body.mlps.{i}.": f"motion2latent_{part}." for i, part in enumerate(_BODY)},
    **{f"body.refiners.{i}.decoder.": f"body_motion_decoder_{p}." for i, p in enumerate(_BODY)},
    **{f"body.refiners.{i}.out.": f"motion_out_proj_{part}." for i, part in enumerate(_BODY)},
    "classifiers.0.": "face_cls.",
    **{f"classifiers.{i}.": f"motion_cls_{part}." for i, part in enumerate(_BODY, 1)},
}
"""Prefixes of our names, and those in `emage-audio` (2025)."""

TEXT_PREFIXES: Final[Mapping[str, str]] = {
    **{f"speech.{x}.audio.": f"audio_pre_encoder_{x}." for x in ("face", "body")},
    **{f"speech.{x}.content.0.": f"text_pre_encoder_{x}." for x in ("face", "body")},
    **{f"speech.{x}.content.1.": f"text_encoder_{x}." for x in ("face", "body")},
    **{f"speech.{x}.attention.score.": f"at_attn_{x}." for x in ("face", "body")},
    "motion.mask_embedding": "mask_embeddings",
    "motion.convolve.": "motion_encoder.",
    "face_hint.": "bodyhints_face.",
    "body_hint.": "bodyhints_body.",
    "face_speaker.": "spearker_encoder_face.",
    "body_speaker.": "spearker_encoder_body.",
    "face.project.": "feature2face.",
    "face.decoder.": "face_decoder.",
    "face.out.": "face2latent.",
    "body.project_hint.": "feature2motion.",
    "body.project_audio.": "audio_feature2motion.",
    "body.self_attention.": "motion_self_encoder.layers.",
    "body.cross_attention.": "wordhints_decoder.",
    **{f"body.mlps.{i}.": f"motion2latent_{part}." for i, part in enumerate(_BODY)},
    **{f"body.refiners.{i}.decoder.": f"{part}_decoder." for i, part in enumerate(_BODY)},
    **{f"body.refiners.{i}.out.": f"motion_down_{part}." for i, part in enumerate(_BODY)},
    **{f"classifiers.{i}.": f"{part}_classifier." for i, part in enumerate(("face", *_BODY))},
}
"""Prefixes of our names, and those in `emage-text` (2024)."""

_ATTENTION: Final = (
    (r"in_proj\.(weight|bias)$", r"in_proj_\1"),
    (r"cross_attn\.", "multihead_attn."),
    (r"feed_forward\.", ""),
)
_WAVE: Final = (
    (r"^blocks\.(\d+)\.shortcut\.", r"feat_extractor.\1.downsample."),
    (r"^blocks\.(\d+)\.(?=conv\d|bn\d)", r"feat_extractor.\1."),
)
POSITIONS: Final = "position_embeddings.pe"
"""The table of positions, which is computed here but stored in the checkpoints."""


@dataclass(frozen=True)
class GestureNames:
    """Names in a gesture model.

    prefixes: of our names, with those of the checkpoint. mlp: names of a perceptron's two layers.
    leftovers: prefixes of tensors that are stored but not used: templates of layers that were
    copied when the network was built, and the table of positions.
    """

    prefixes: Mapping[str, str]
    mlp: tuple[str, str]
    leftovers: tuple[str, ...]

    def published_name(self, ours: str) -> str:
        """Name in the checkpoint of our tensor `ours`."""
        prefix = next(p for p in self.prefixes if ours.startswith(p))
        return self.prefixes[prefix] + self._within(ours.removeprefix(prefix))

    def _within(self, rest: str) -> str:
        first, second = self.mlp
        perceptron = ((r"^first\.", f"{first}."), (r"^second\.", f"{second}."))
        for pattern, replacement in (*_ATTENTION, *_WAVE, *perceptron):
            rest = re.sub(pattern, replacement, rest)
        return _encoder_name(rest)


@dataclass(frozen=True)
class AutoencoderNames:
    """Names in a part's VQ-VAE or the root motion; layers: convolutions of its decoder."""

    layers: int
    leftovers: tuple[str, ...] = ()

    def published_name(self, ours: str) -> str:
        """Name in the checkpoint of our tensor `ours`."""
        half, rest = ours.split(".", 1)
        if half == "encoder":
            return f"encoder.{_encoder_name(rest)}"
        return f"decoder.{self._decoder_name(rest)}" if half == "decoder" else ours

    def _decoder_name(self, rest: str) -> str:
        """The decoder is two residual units, convolutions each with an activation, one more."""
        kind, place, *tail = rest.split(".")
        if kind == "residuals":
            return f"main.{place}.{_residual(tail)}"
        if kind == "convs":
            return ".".join((f"main.{2 + 2 * int(place)}", *tail))
        return f"main.{2 + 2 * self.layers}.{place}"


def _encoder_name(rest: str) -> str:
    """A block is convolution, activation and residual unit, all in one sequence."""
    found = re.fullmatch(r"blocks\.(\d+)\.(conv|residual)\.(.+)", rest)
    if found is None:
        return rest
    first = 3 * int(found[1])
    if found[2] == "conv":
        return f"main.{first}.{found[3]}"
    return f"main.{first + 2}.{_residual(found[3].split('.'))}"


def _residual(rest: list[str]) -> str:
    place = {"first": "model.0", "second": "model.2"}[rest[0]]
    return ".".join((place, *rest[1:]))


AUDIO_2025: Final = GestureNames(
    AUDIO_PREFIXES,
    mlp=("fc1", "fc2"),
    leftovers=("transformer_en_layer.", "audio_motion_cross_attn_layer.", POSITIONS),
)
TEXT_2024: Final = GestureNames(
    TEXT_PREFIXES,
    mlp=("mlp.0", "mlp.2"),
    leftovers=("transformer_en_layer.", "transformer_de_layer.", POSITIONS),
)
