"""Input masks of the gesture transformer: hidden suffixes, dropped history, hints.

A live window shows the last emitted frames and hides the newest ones. A model that is always given
a complete, clean history learns to continue it and ignores speech, so much of the history is hidden
or noisy, and the hidden suffix is sometimes long. Hints (EMAGE section 4.3) hide tokens anywhere in
the window (`training.gesture.hint_masks`). `training/configs/gesture_published.toml` has the
settings of the published training: four visible frames, masked channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from engine.config.serialize import require
from engine.generate.schedule import Schedule
from training.gesture.hint_masks import HintShape, hidden_channels


@dataclass(frozen=True)
class MaskingConfig:
    """Input masks of the motion channels in training.

    Attributes:
        hidden_suffixes: (share of windows, shortest, longest) suffixes, frames.
        short_history_share: share of windows with a short visible history.
        history_min: shortest visible history of those, in frames.
        history_max: longest visible history of those, in frames.
        noise: largest standard deviation of noise on visible, standardised channels.
        frame_dropout: share of visible frames that are hidden, from and to.
        wrong_codes: share of windows with wrong codes in their history, and largest share of such
            codes.
        hint_share: share of windows with hints instead of a hidden suffix.
        hint_ratio: hidden share of windows with hints, at the first and the last step.
        hint_shapes: shapes of the hints.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "suffixes": "hidden_suffixes",
        "short_history": "short_history_share",
        "shortest": "history_min",
        "longest": "history_max",
        "drop": "frame_dropout",
        "hinted": "hint_share",
        "joints": "hint_ratio",
        "shapes": "hint_shapes",
    }

    hidden_suffixes: tuple[tuple[float, int, int], ...] = (
        (0.4, 1, 8),
        (0.3, 9, 32),
        (0.3, 33, 60),
    )
    short_history_share: float = 0.6
    history_min: int = 4
    history_max: int = 16
    noise: float = 0.25
    frame_dropout: tuple[float, float] = (0.0, 0.3)
    wrong_codes: tuple[float, float] = (0.0, 0.0)
    hint_share: float = 0.0
    hint_ratio: tuple[float, float] = (0.0, 0.95)
    hint_shapes: tuple[HintShape, ...] = (HintShape.PIECES,)

    def __post_init__(self) -> None:
        require(bool(self.hidden_suffixes), "hidden_suffixes", "one or more", self.hidden_suffixes)
        require(bool(self.hint_shapes), "hint_shapes", "one or more", self.hint_shapes)


def _uniform(low: Tensor, high: Tensor, generator: torch.Generator) -> Tensor:
    """Draw integers from low to high, both inclusive."""
    share = torch.rand(low.shape, generator=generator)
    return (low + share * (high - low + 1)).long().clamp(max=high.max())


def suffix_lengths(config: MaskingConfig, rows: int, generator: torch.Generator) -> Tensor:
    """Draw the lengths `[B]` of the hidden suffixes."""
    table = torch.tensor(config.hidden_suffixes)
    kind = torch.multinomial(table[:, 0], rows, replacement=True, generator=generator)
    low, high = table[kind, 1].long(), table[kind, 2].long()
    return torch.minimum(_uniform(low, high, generator), high)


def frame_masks(
    config: MaskingConfig, rows: int, frames: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw (hidden frames `[B, T]` bool, frames of the suffix `[B, T]` bool)."""
    place = torch.arange(frames)[None]
    first_new = frames - suffix_lengths(config, rows, generator)[:, None]
    ends = place >= first_new
    visible = torch.randint(
        config.history_min, config.history_max + 1, (rows, 1), generator=generator
    )
    short = torch.rand(rows, 1, generator=generator) < config.short_history_share
    before = short & (place < first_new - visible)
    low, high = config.frame_dropout
    rate = low + (high - low) * torch.rand(rows, 1, generator=generator)
    dropped = torch.rand(rows, frames, generator=generator) < rate
    return ends | before | dropped, ends


class Hints(NamedTuple):
    """Windows with hints, `rows [B]` bool, and their `mask [B, T, 337]`; 1 hides a channel."""

    rows: Tensor
    mask: Tensor


def hint_masks(
    config: MaskingConfig, rows: int, frames: int, progress: float, generator: torch.Generator
) -> Hints:
    """Draw hint masks; the hidden share changes linearly with `progress`, 0..1."""
    low, high = config.hint_ratio
    hinted = torch.rand(rows, generator=generator) < config.hint_share
    ratio = low + (high - low) * progress
    return Hints(
        hinted, hidden_channels(config.hint_shapes, rows, frames, ratio, generator).float()
    )


def add_noise(most: float, x: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise to `x [B, T, C]`, half constant over the window, half white.

    Its standard deviation is drawn for each row, up to `most`.
    """
    rows, frames, channels = x.shape
    size = most * torch.rand(rows, 1, 1, generator=generator)
    steady = torch.randn(rows, 1, channels, generator=generator)
    quick = torch.randn(rows, frames, channels, generator=generator)
    return x + size * (0.7 * steady + 0.7 * quick)


LIVE_HOPS = (1, 2, 4, 8, 16, 30, 60)
"""Hops that `schedules` considers, frames."""


def schedules(config: MaskingConfig, window: int) -> tuple[Schedule, ...]:
    """Live schedules that a training with windows of `window` frames covers.

    A hop is covered if suffixes of its length are hidden; its seed is the longest short history, or
    the whole window.
    """
    history_max = config.history_max if config.short_history_share > 0 else window
    return tuple(
        Schedule(window, min(history_max, window - hop), hop)
        for hop in LIVE_HOPS
        if hop < window and any(low <= hop <= high for _, low, high in config.hidden_suffixes)
    )
