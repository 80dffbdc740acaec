"""Tiny bundles with random weights."""

import dataclasses

import torch
from torch import nn

from engine.bundle.config import BundleConfig, Provenance
from engine.bundle.io import Bundle, new_bundle
from engine.config.features import FeatureConfig
from engine.config.model import FrontEnd, OnsetConfig, PartVaeConfig, RootModelConfig
from engine.config.presets import live_config, published_audio_config, published_text_config
from engine.generate.sampling import CodeSelection, SamplingConfig
from engine.generate.schedule import Schedule, published_audio_schedule, published_text_schedule
from engine.generate.state import SeedRoot
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.skeleton import BodyPart

WORDS = ("yes", "no", "hello", "never")


def tiny_config(*, causal: bool = True, temperature: float = 0.5, hop: int = 2) -> BundleConfig:
    """Configuration with a window of 24, one speaker and four words; `causal` is for decoders."""
    features = FeatureConfig()
    return BundleConfig(
        name="tiny",
        gesture=live_config(
            features.width,
            4 + len(WORDS),
            width=16,
            codes=24,
            code_dim=8,
            speech_dilations=(1, 2),
            onset=OnsetConfig(
                threshold_without_words=-1.0, word_reach=3, refractory_frames=3, hold_frames=4
            ),
        ),
        parts={
            part: PartVaeConfig(
                part_layout(part, ARKIT_51.width).width, 12, 8, 24, layers=2, causal=causal
            )
            for part in BodyPart
        },
        root_model=RootModelConfig(61, 3, 12, 2, causal=causal),
        features=features,
        provenance=Provenance("none", ("random weights",), "tests"),
        vocabulary=WORDS,
        schedule=Schedule(window=24, seed=16, hop=hop),
        code_selection={BodyPart.FACE: CodeSelection.NEAREST_LATENT},
        sampling=SamplingConfig(temperature),
    )


def tiny_published_config(kind: FrontEnd) -> BundleConfig:
    """Configuration like `emage-audio` (WAVE) or `emage-text` (RHYTHM)."""
    sizes = {"width": 16, "audio_width": 8, "motion_width": 8, "codes": 24, "code_dim": 8}
    audio = kind is FrontEnd.WAVE
    gesture = published_audio_config(**sizes) if audio else published_text_config(8, **sizes)
    return dataclasses.replace(
        tiny_config(causal=False, temperature=0.0),
        gesture=gesture,
        speakers=tuple(map(str, range(gesture.speakers))),
        root_model=RootModelConfig(61, 61, 12, 2, orthonormalize=not audio),
        schedule=Schedule(window=24, seed=16, hop=8),
        file_schedule=(published_audio_schedule if audio else published_text_schedule)(24, 4),
        front_end=kind,
        mute_unvoiced=False,
        seed_from_identity=True,
        seed_root=SeedRoot.VELOCITY if audio else SeedRoot.POSITION,
        instant_words=not audio,
    )


def tiny_bundle(**options: object) -> Bundle:
    """A deterministic bundle; its weights are large, so that every input changes the motion."""
    return _build(tiny_config(**options))  # type: ignore[arg-type]


def tiny_published_bundle(kind: FrontEnd) -> Bundle:
    """The bundle of `tiny_published_config`."""
    return _build(tiny_published_config(kind))


@torch.no_grad()
def randomize_zeros(network: nn.Module) -> None:
    """Randomise the weights that are initialised to zeros."""
    for parameter in network.parameters():
        if parameter.dim() > 1 and not parameter.any():
            parameter.normal_(std=0.2)


def _build(config: BundleConfig) -> Bundle:
    torch.manual_seed(0)
    bundle = new_bundle(config)
    for module in bundle.parts.values():
        module.quantizer.embedding.weight.normal_()
    randomize_zeros(bundle.gesture)
    for parameter in bundle.gesture.parameters():
        parameter.mul_(1.5)
    return dataclasses.replace(bundle, rest_codes=torch.tensor([1, 2, 3, 4]))
