"""Targets and loss of the onset detector."""

import pytest
import torch

from training.gesture.onset import onset_loss, onset_targets

UNTIL = torch.tensor([[4, 3, 2, 1, 99, 99, 2, 1, 99]])  # onsets in frames 4 and 8


@pytest.mark.parametrize(("lead", "frames"), [(0, [4, 8]), (1, [3, 7]), (2, [2, 6]), (3, [1])])
def test_onsets_lead_stressed_vowels(lead: int, frames: list[int]) -> None:
    onsets = onset_targets(UNTIL, lead)
    assert torch.nonzero(onsets[0]).flatten().tolist() == frames


def test_one_frame_early_or_late_is_no_error() -> None:
    onsets = torch.zeros(1, 9)
    onsets[0, 4] = 1.0
    right = torch.full((1, 9), -30.0)
    right[0, 3:6] = 30.0
    assert float(onset_loss(right, onsets)) < 1e-6
    assert float(onset_loss(right.roll(1, 1), onsets)) > 1.0
    assert float(onset_loss(torch.full((1, 9), -30.0), onsets)) > 1.0
