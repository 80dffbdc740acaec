"""A tiny bundle with random weights, for tests of everything around the model."""

import dataclasses

import torch

from engine.audio.features import FeatureConfig
from engine.bundle import Bundle, BundleConfig, Provenance, new_bundle
from engine.config import GlobalMotionConfig, PartVaeConfig, live_config
from engine.face import ARKIT_51
from engine.layout import part_layout
from engine.sampling import CodeChoice, SamplingConfig
from engine.schedule import Schedule
from engine.skeleton import BodyPart

WORDS = ("yes", "no", "hello", "never")


def tiny_config(*, causal: bool = True, temperature: float = 0.5, hop: int = 2) -> BundleConfig:
    """Window 24, one speaker, four words; `causal` of the decoders."""
    features = FeatureConfig()
    return BundleConfig(
        name="tiny",
        gesture=live_config(features.width, 4 + len(WORDS), width=16, codes=24, code_dim=8),
        parts={
            part: PartVaeConfig(
                part_layout(part, ARKIT_51.width).width, 12, 8, 24, layers=2, causal=causal
            )
            for part in BodyPart
        },
        global_motion=GlobalMotionConfig(61, 3, 12, 2, causal=causal),
        features=features,
        provenance=Provenance("none", ("random weights",), "tests"),
        vocabulary=WORDS,
        schedule=Schedule(window=24, seed=16, hop=hop),
        choices={BodyPart.FACE: CodeChoice.LATENT},
        sampling=SamplingConfig(temperature),
    )


def tiny_bundle(**options: object) -> Bundle:
    """The same bundle every time, lively enough that sound and history change its motion."""
    torch.manual_seed(0)
    bundle = new_bundle(tiny_config(**options))  # type: ignore[arg-type]
    for module in bundle.parts.values():
        module.quantizer.embedding.weight.normal_()
    for parameter in bundle.gesture.parameters():
        parameter.mul_(1.5)
    return dataclasses.replace(bundle, rest_codes=torch.tensor([1, 2, 3, 4]))
