"""When hands truly set out, and how far scores are from it."""

import pytest
import torch

from training.gesture.onset import beginnings, cue_error

UNTIL = torch.tensor([[4, 3, 2, 1, 99, 99, 2, 1, 99]])  # onsets in frames 4 and 8


@pytest.mark.parametrize(("lead", "frames"), [(0, [4, 8]), (1, [3, 7]), (2, [2, 6]), (3, [1])])
def test_hands_set_out_so_many_frames_before_a_stressed_vowel(lead: int, frames: list[int]) -> None:
    onsets = beginnings(UNTIL, lead)
    assert torch.nonzero(onsets[0]).flatten().tolist() == frames


def test_a_frame_too_soon_or_too_late_is_no_error() -> None:
    onsets = torch.zeros(1, 9)
    onsets[0, 4] = 1.0
    right = torch.full((1, 9), -30.0)
    right[0, 3:6] = 30.0
    assert float(cue_error(right, onsets)) < 1e-6
    assert float(cue_error(right.roll(1, 1), onsets)) > 1.0
    assert float(cue_error(torch.full((1, 9), -30.0), onsets)) > 1.0
