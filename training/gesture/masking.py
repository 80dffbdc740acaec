"""What of a window the gesture transformer is shown: suffixes as in live hops, and worn histories.

A live window shows the last frames that were emitted and hides the newest ones. A net that always
sees a clean history learns to continue it and stops listening; so much of the history is hidden
here, dropped and disturbed, and from time to time the hidden end is long. Hints (EMAGE section 4.3)
hide pieces here and there instead of an end (`training.gesture.hint_masks`). Settings for the
published way of training, four frames shown and channels masked, are in
`training/configs/gesture_published.toml`.
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
        hidden_suffixes: (share of windows, shortest, longest) hidden ends, in frames.
        short_history_share: share of windows with a short visible history.
        history_min: shortest visible history of those, in frames.
        history_max: longest visible history of those, in frames.
        noise: largest standard deviation of noise on visible, standardised channels.
        frame_dropout: share of visible frames that are hidden, from and to.
        wrong_codes: share of windows with wrong codes in their history, and largest share of such
            codes.
        hint_share: share of windows with hints instead of a hidden end.
        hint_ratio: share of the hint's cells that are hidden, at the first and the last step.
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
    """Whole numbers from low to high, both included."""
    share = torch.rand(low.shape, generator=generator)
    return (low + share * (high - low + 1)).long().clamp(max=high.max())


def suffix_lengths(config: MaskingConfig, rows: int, generator: torch.Generator) -> Tensor:
    """Lengths `[B]` of the hidden ends."""
    table = torch.tensor(config.hidden_suffixes)
    kind = torch.multinomial(table[:, 0], rows, replacement=True, generator=generator)
    low, high = table[kind, 1].long(), table[kind, 2].long()
    return torch.minimum(_uniform(low, high, generator), high)


def frame_masks(
    config: MaskingConfig, rows: int, frames: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(hidden `[B, T]` bool, ends `[B, T]` bool): frames that are not shown, frames of the end."""
    place = torch.arange(frames)[None]
    first_new = frames - suffix_lengths(config, rows, generator)[:, None]
    ends = place >= first_new
    shown = torch.randint(
        config.history_min, config.history_max + 1, (rows, 1), generator=generator
    )
    short = torch.rand(rows, 1, generator=generator) < config.short_history_share
    before = short & (place < first_new - shown)
    low, high = config.frame_dropout
    rate = low + (high - low) * torch.rand(rows, 1, generator=generator)
    dropped = torch.rand(rows, frames, generator=generator) < rate
    return ends | before | dropped, ends


class Hints(NamedTuple):
    """rows `[B]` bool: which windows show hints; mask `[B, T, 337]`: 1 hides a channel."""

    rows: Tensor
    mask: Tensor


def hint_masks(
    config: MaskingConfig, rows: int, frames: int, progress: float, generator: torch.Generator
) -> Hints:
    """Pieces hidden at random, more and more as `progress` goes from 0 to 1."""
    low, high = config.hint_ratio
    hinted = torch.rand(rows, generator=generator) < config.hint_share
    ratio = low + (high - low) * progress
    return Hints(
        hinted, hidden_channels(config.hint_shapes, rows, frames, ratio, generator).float()
    )


def disturb(most: float, x: Tensor, generator: torch.Generator) -> Tensor:
    """`x [B, T, C]` with noise, half of it constant over the window, half new each frame; of a
    standard deviation of up to `most`.
    """
    rows, frames, channels = x.shape
    size = most * torch.rand(rows, 1, 1, generator=generator)
    steady = torch.randn(rows, 1, channels, generator=generator)
    quick = torch.randn(rows, frames, channels, generator=generator)
    return x + size * (0.7 * steady + 0.7 * quick)


LIVE_HOPS = (1, 2, 4, 8, 16, 30, 60)
"""Hops that `schedules` asks for: in between nothing changes."""


def schedules(config: MaskingConfig, window: int) -> tuple[Schedule, ...]:
    """The schedules that windows of `window` frames are hidden and shown for.

    A hop counts where such an end is hidden; its seed is the longest that short histories show, or
    all there is.
    """
    history_max = config.history_max if config.short_history_share > 0 else window
    return tuple(
        Schedule(window, min(history_max, window - hop), hop)
        for hop in LIVE_HOPS
        if hop < window and any(low <= hop <= high for _, low, high in config.hidden_suffixes)
    )
