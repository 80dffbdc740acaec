"""History corruption by wrong codes."""

import torch

from engine.model.part_vae import PartVae
from engine.motion.skeleton import BodyPart
from training.data.dataset import GestureWindows
from training.gesture.corruption import corrupt_history, wrong_codes
from training.gesture.rollout import rollout_context, rollout_decoder


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_share_of_codes_is_replaced_within_the_part() -> None:
    codes = torch.arange(4)[None, :, None] * 10 + torch.randint(10, (50, 4, 64))
    wrong = wrong_codes(codes, torch.tensor([0.0] * 25 + [0.4] * 25), generator())
    assert torch.equal(wrong[:25], codes[:25])
    assert torch.equal(wrong // 10, codes // 10)
    # One in ten replacements happens to be the same code.
    share = float((wrong[25:] != codes[25:]).float().mean())
    assert abs(share - 0.4 * 0.9) < 0.02


def test_only_visible_frames_change_and_true_codes_change_none(
    parts: dict[BodyPart, PartVae], windows: GestureWindows
) -> None:
    decoder, context = rollout_decoder(parts), rollout_context(parts)
    batch = windows.draw(
        3, generator(), silent_fraction=0.0, word_dropout=0.0, ground_truth_fraction=0.0
    )
    codes = batch.codes.transpose(1, 2)
    visible = torch.zeros(3, 32, dtype=torch.bool)
    visible[:, context - 4 : 30] = True
    same = corrupt_history(decoder, context, batch.motion, codes, visible)
    # Stored in half precision.
    torch.testing.assert_close(same, batch.motion, atol=2e-3, rtol=2e-3)
    wrong = torch.randint(12, codes.shape, generator=generator())
    corrupted = corrupt_history(decoder, context, batch.motion, wrong, visible)
    changed = (corrupted != batch.motion).any(-1)
    assert changed[:, context:30].all()
    assert not changed[:, :context].any()
    assert not changed[:, 30:].any()
