"""Shares and shapes of hint masks."""

import pytest
import torch

from engine.motion.channels import MOTION, MOTION_TOKENS
from training.gesture.hint_masks import SPAN_FRAMES, HintShape, hidden_channels

ROWS, FRAMES = 200, 64


def drawn(shape: HintShape, ratio: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return hidden_channels((shape,), ROWS, FRAMES, ratio, generator)


def tokens(hidden: torch.Tensor) -> torch.Tensor:
    """Hidden tokens `[B, T, 57]`; fails if a token is hidden in part."""
    pieces = torch.split(hidden, MOTION_TOKENS, -1)
    for piece in pieces:
        assert torch.equal(piece.any(-1), piece.all(-1))
    return torch.stack([piece[..., 0] for piece in pieces], -1)


@pytest.mark.parametrize("shape", HintShape)
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.95, 1.0])
def test_hidden_share_matches_the_ratio(shape: HintShape, ratio: float) -> None:
    hidden = drawn(shape, ratio)
    assert hidden.shape == (ROWS, FRAMES, MOTION.width)
    tolerance = 0.0 if ratio in (0.0, 1.0) else 0.05
    assert float(hidden.float().mean()) == pytest.approx(ratio, abs=tolerance)


def test_whole_joints_are_hidden_in_all_frames() -> None:
    hidden = tokens(drawn(HintShape.JOINTS, 0.5))
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
    assert len(hidden[:, 0].unique(dim=0)) == ROWS


def test_spans_hide_all_joints() -> None:
    hidden = tokens(drawn(HintShape.SPANS, 0.5))
    assert torch.equal(hidden, hidden[..., :1].expand_as(hidden))
    changes = hidden[..., 0].int().diff(dim=1) != 0
    assert 1.0 < float(changes.sum(1).float().mean()) < FRAMES / SPAN_FRAMES[0] / 2


def test_joint_spans_last_and_differ_between_joints() -> None:
    hidden = tokens(drawn(HintShape.JOINT_SPANS, 0.5))
    assert not torch.equal(hidden[..., 0], hidden[..., 1])
    inner = hidden[:, 1:-1]
    isolated = (inner != hidden[:, :-2]) & (inner != hidden[:, 2:])
    assert not isolated.any()
    everywhere = (hidden.int().diff(dim=1) != 0).any(0).any(-1)
    assert everywhere.all()  # spans start in any frame


def test_pieces_and_channels_are_independent() -> None:
    pieces = tokens(drawn(HintShape.PIECES, 0.5))
    assert float((pieces[:, 1:] == pieces[:, :-1]).float().mean()) == pytest.approx(0.5, abs=0.02)
    channels = drawn(HintShape.CHANNELS, 0.5)
    same = channels[..., 1:6] == channels[..., :5]
    assert float(same.float().mean()) == pytest.approx(0.5, abs=0.02)


def test_shapes_are_drawn_for_each_row() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = (HintShape.JOINTS, HintShape.SPANS)
    hidden = tokens(hidden_channels(shapes, ROWS, FRAMES, 0.5, generator))
    whole = (hidden == hidden[:, :1]).all(1).all(-1)
    assert 0.35 < float(whole.float().mean()) < 0.65
