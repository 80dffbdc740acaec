from dataclasses import replace

import pytest
import torch

from bench.quality.codebook_usage import code_usage, usable_parts
from engine.bundle.config import BundleConfig, Provenance
from engine.bundle.io import new_bundle
from engine.clock import FrameClock
from engine.config.model import RootModelConfig
from engine.config.presets import live_config
from engine.errors import ConfigError
from engine.motion.skeleton import BodyPart
from tests.support.training_fixtures import CODE_DIM, CODES, part_config, waving
from training.data.windows import tensor_of


def bundle(**changes):
    config = BundleConfig(
        name="tiny",
        gesture=live_config(8, 5, width=16, codes=CODES, code_dim=CODE_DIM),
        parts={part: part_config(part) for part in BodyPart},
        root_model=RootModelConfig(61, 3, 8, 1, causal=True),
        provenance=Provenance("none", ("none",), "tests"),
    )
    torch.manual_seed(0)
    return new_bundle(replace(config, **changes))


def test_used_codes_are_counted():
    made = bundle()
    motions = [waving(1, 60), waving(2, 60)]
    # The codes of the lower body are latents of the motion itself: each of them is used.
    lower = made.parts[BodyPart.LOWER]
    latents = lower.encode(tensor_of(BodyPart.LOWER, motions[0])[None])[0]
    lower.quantizer.embedding.weight.data[:] = latents[10 : 10 + CODES]
    # All latents of the upper body have the same code.
    upper = made.parts[BodyPart.UPPER].quantizer.embedding.weight.data
    upper[:] = 1e3
    upper[7] = 0
    found = code_usage(made, motions)
    assert set(found) == set(BodyPart)
    assert found["upper"] == {"codes": CODES, "usage": round(1 / CODES, 4), "perplexity": 1.0}
    assert found["lower"]["usage"] == 1.0
    assert 2 < found["lower"]["perplexity"] <= CODES


def test_faces_of_another_basis_are_left_out():
    assert usable_parts(bundle(face="arkit52"), waving(1, 9)) == [
        part for part in BodyPart if part is not BodyPart.FACE
    ]
    assert "face" not in code_usage(bundle(face="flame100"), [waving(1, 9)])


def test_motion_is_resampled_to_the_frame_rate_of_the_bundle():
    found = code_usage(bundle(clock=FrameClock(frame_rate=15)), [waving(1, 9)])
    assert found["lower"]["perplexity"] <= 5


def test_a_bundle_without_encoders_is_refused():
    with pytest.raises(ConfigError, match="no encoders"):
        code_usage(bundle(include_encoders=False), [waving(1, 9)])
