"""Rest codes, the live schedule, and the check that files are of one release."""

from dataclasses import replace

import pytest
import torch

from engine.bundle.checkpoints.build_bundle import assemble, live_schedule, rest_codes_of
from engine.config.model import FrontEnd, PartVaeConfig
from engine.errors import BundleError
from engine.generate.sampling import CodeSelection
from engine.model.builders import build_part_vae
from engine.motion.channels import part_layout
from engine.motion.skeleton import BodyPart
from tests.support.tiny_bundle import tiny_published_config


def test_rest_codes_encode_identity_rotations_at_the_origin() -> None:
    torch.manual_seed(0)
    parts = {
        part: build_part_vae(PartVaeConfig(part_layout(part, 100).width, 8, 8, 32))
        for part in BodyPart
    }
    for vae in parts.values():
        vae.quantizer.embedding.weight.data.normal_()
    codes = rest_codes_of(parts)
    assert codes.dtype == torch.int64
    identity = torch.tensor([1.0, 0, 0, 0, 1, 0])
    feet = torch.tensor([0.0, 0, 0, 1, 1, 1, 1])
    clips = {
        BodyPart.FACE: torch.cat((identity, torch.zeros(100))),
        BodyPart.UPPER: identity.repeat(13),
        BodyPart.HANDS: identity.repeat(30),
        BodyPart.LOWER: torch.cat((identity.repeat(9), feet)),
    }
    for p, part in enumerate(BodyPart):
        encoded = parts[part].nearest(parts[part].encode(clips[part].expand(1, 200, -1)))
        assert codes[p] == encoded[0, 100]


def test_live_seeds_are_the_whole_history() -> None:
    schedule = live_schedule(64)
    assert (schedule.seed, schedule.hop, schedule.lookahead) == (56, 8, 0)


@pytest.mark.parametrize(
    ("choice", "changes", "message"),
    [
        (
            CodeSelection.ARGMAX_OR_SAMPLE,
            {"codes": 20},
            "scores for 24 for upper, .* has 20 codes of width 8",
        ),
        (
            CodeSelection.NEAREST_LATENT,
            {"code_dim": 6},
            "latents of width 8 for upper, .* has 24 codes",
        ),
    ],
)
def test_codebooks_of_another_release_are_an_error(
    choice: CodeSelection, changes: dict[str, int], message: str
) -> None:
    config = tiny_published_config(FrontEnd.WAVE)
    other = replace(config.parts[BodyPart.UPPER], **changes)  # type: ignore[arg-type]
    config = replace(
        config,
        code_selection=dict.fromkeys(BodyPart, choice),
        parts={**config.parts, BodyPart.UPPER: other},
    )
    with pytest.raises(BundleError, match=message):
        assemble(config, {}, lambda report: None)
