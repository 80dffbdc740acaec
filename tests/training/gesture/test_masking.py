"""Input masks."""

import pytest
import torch

from engine.errors import ConfigError
from engine.generate.schedule import Schedule
from training.gesture.hint_masks import HintShape
from training.gesture.masking import (
    MaskingConfig,
    add_noise,
    frame_masks,
    hint_masks,
    schedules,
    suffix_lengths,
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_suffix_lengths_match_their_shares() -> None:
    config = MaskingConfig(hidden_suffixes=((0.5, 1, 8), (0.3, 9, 32), (0.2, 33, 60)))
    lengths = suffix_lengths(config, 8000, generator())
    assert lengths.min() == 1
    assert lengths.max() == 60
    shares = [(lengths <= 8).float().mean(), (lengths > 32).float().mean()]
    assert abs(shares[0] - 0.5) < 0.03
    assert abs(shares[1] - 0.2) < 0.03
    counts = torch.bincount(lengths)[1:9].float()
    assert counts.max() / counts.min() < 1.4


def test_suffix_is_hidden_and_history_visible() -> None:
    config = MaskingConfig(short_history_share=0.0, frame_dropout=(0.0, 0.0))
    hidden, ends = frame_masks(config, 64, 64, generator())
    assert torch.equal(hidden, ends)
    assert ends[:, -1].all()
    assert not ends[:, 0].any()
    assert (ends.int().diff(dim=1) >= 0).all()


def test_short_history_is_adjacent_to_the_suffix() -> None:
    config = MaskingConfig(
        hidden_suffixes=((1.0, 4, 4),),
        short_history_share=1.0,
        history_min=3,
        history_max=5,
        frame_dropout=(0.0, 0.0),
    )
    hidden, ends = frame_masks(config, 200, 32, generator())
    shown = (~hidden).sum(1)
    assert sorted(set(shown.tolist())) == [3, 4, 5]
    assert (~hidden)[:, 27].all()
    assert (ends.sum(1) == 4).all()


def test_frame_dropout_matches_its_rate() -> None:
    config = MaskingConfig(
        hidden_suffixes=((1.0, 1, 1),), short_history_share=0.0, frame_dropout=(0.3, 0.3)
    )
    hidden, ends = frame_masks(config, 100, 64, generator())
    rate = (hidden & ~ends).float().sum() / (~ends).float().sum()
    assert abs(float(rate) - 0.3) < 0.03


def test_noise_is_bounded_and_optional() -> None:
    motion = torch.zeros(50, 16, 10)
    assert torch.equal(add_noise(0.0, motion, generator()), motion)
    noisy = add_noise(0.05, motion, generator())
    assert 0.01 < float(noisy.std()) < 0.05


def test_hidden_share_of_hints_grows_with_progress() -> None:
    config = MaskingConfig(hint_share=0.3, hint_ratio=(0.1, 0.9))
    shares = []
    for progress in (0.0, 0.5, 1.0):
        rows, mask = hint_masks(config, 400, 16, progress, generator())
        assert abs(float(rows.float().mean()) - 0.3) < 0.06
        joints = mask[..., :330].unflatten(-1, (55, 6))
        assert torch.equal(joints.amin(-1), joints.amax(-1))
        for tail in (mask[..., 330:333], mask[..., 333:]):
            assert torch.equal(tail.amin(-1), tail.amax(-1))
        shares.append(float(mask.mean()))
    assert all(abs(a - b) < 0.01 for a, b in zip(shares, (0.1, 0.5, 0.9), strict=True))


def test_hints_have_the_configured_shapes() -> None:
    config = MaskingConfig(hint_share=1.0, hint_ratio=(0.5, 0.5), hint_shapes=(HintShape.JOINTS,))
    hints = hint_masks(config, 8, 32, 0.0, generator())
    assert hints.rows.all()
    assert torch.equal(hints.mask, hints.mask[:, :1].expand_as(hints.mask))


def test_schedules_match_the_hidden_suffixes() -> None:
    live = MaskingConfig(hidden_suffixes=((0.5, 1, 2), (0.5, 8, 20)), history_max=16)
    assert schedules(live, 24) == (
        Schedule(24, 16, 1),
        Schedule(24, 16, 2),
        Schedule(24, 16, 8),
        Schedule(24, 8, 16),
    )
    published = MaskingConfig(hidden_suffixes=((1.0, 60, 60),), short_history_share=0.0)
    assert schedules(published, 64) == (Schedule(64, 4, 60),)


def test_empty_hint_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="shapes must be"):
        MaskingConfig(hint_shapes=())
