"""What both layouts share: codes of standing still, and files that belong together."""

from dataclasses import replace

import pytest
import torch

from engine.bundle.checkpoints.build_bundle import assemble, live_schedule, still_codes
from engine.config.model import FrontEnd, PartVaeConfig
from engine.errors import BundleError
from engine.generate.sampling import CodeSelection
from engine.model.builders import build_part_vae
from engine.motion.channels import part_layout
from engine.motion.skeleton import BodyPart
from tests.support.tiny_bundle import tiny_published_config


def test_still_codes_are_those_of_a_figure_at_rest() -> None:
    torch.manual_seed(0)
    parts = {
        part: build_part_vae(PartVaeConfig(part_layout(part, 100).width, 8, 8, 32))
        for part in BodyPart
    }
    for vae in parts.values():
        vae.quantizer.embedding.weight.data.normal_()
    codes = still_codes(parts)
    assert codes.dtype == torch.int64
    still = torch.tensor([1.0, 0, 0, 0, 1, 0])
    feet = torch.tensor([0.0, 0, 0, 1, 1, 1, 1])
    clips = {
        BodyPart.FACE: torch.cat((still, torch.zeros(100))),
        BodyPart.UPPER: still.repeat(13),
        BodyPart.HANDS: still.repeat(30),
        BodyPart.LOWER: torch.cat((still.repeat(9), feet)),
    }
    for p, part in enumerate(BodyPart):
        every = parts[part].nearest(parts[part].encode(clips[part].expand(1, 200, -1)))
        assert codes[p] == every[0, 100]


def test_all_history_is_visible_live() -> None:
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
def test_codebooks_of_another_release_are_refused(
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
