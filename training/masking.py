"""What of a window the gesture transformer is shown: suffixes as in live hops, and worn histories.

A live window shows the last frames that were emitted and hides the newest ones. A net that always
sees a clean history learns to continue it and stops listening; so much of the history is hidden
here, dropped and disturbed, and from time to time the hidden end is long. Hints, as the paper masks
(EMAGE section 4.3), hide joints here and there instead of an end.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine.layout import MOTION_TOKENS


@dataclass(frozen=True)
class MaskingConfig:
    """suffixes: (share, shortest, longest) hidden ends in frames. short_history: share of windows
    that show only `shortest` to `longest` frames before the hidden end. noise: largest standard
    deviation on visible (standardised) channels. drop: share of visible frames hidden, from..to.
    hinted: share of windows that are masked by joints instead of at their end. joints: the share of
    their joints that is hidden, when the training begins and when it ends; it grows evenly.
    """

    suffixes: tuple[tuple[float, int, int], ...] = ((0.4, 1, 8), (0.3, 9, 32), (0.3, 33, 60))
    short_history: float = 0.6
    shortest: int = 4
    longest: int = 16
    noise: float = 0.25
    drop: tuple[float, float] = (0.0, 0.3)
    hinted: float = 0.0
    joints: tuple[float, float] = (0.0, 0.95)


def _uniform(low: Tensor, high: Tensor, generator: torch.Generator) -> Tensor:
    """Whole numbers from low to high, both included."""
    share = torch.rand(low.shape, generator=generator)
    return (low + share * (high - low + 1)).long().clamp(max=high.max())


def suffix_lengths(config: MaskingConfig, rows: int, generator: torch.Generator) -> Tensor:
    """Lengths `[B]` of the hidden ends."""
    table = torch.tensor(config.suffixes)
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
    shown = torch.randint(config.shortest, config.longest + 1, (rows, 1), generator=generator)
    short = torch.rand(rows, 1, generator=generator) < config.short_history
    before = short & (place < first_new - shown)
    low, high = config.drop
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
    """Joints of frames hidden at random, more and more as `progress` goes from 0 to 1."""
    low, high = config.joints
    hinted = torch.rand(rows, generator=generator) < config.hinted
    pieces = torch.rand(rows, frames, len(MOTION_TOKENS), generator=generator)
    hidden = pieces < low + (high - low) * progress
    return Hints(hinted, hidden.repeat_interleave(torch.tensor(MOTION_TOKENS), -1).float())


def disturb(config: MaskingConfig, motion: Tensor, generator: torch.Generator) -> Tensor:
    """Motion `[B, T, C]` with noise, half of it constant over the window, half new each frame."""
    rows, frames, channels = motion.shape
    size = config.noise * torch.rand(rows, 1, 1, generator=generator)
    steady = torch.randn(rows, 1, channels, generator=generator)
    quick = torch.randn(rows, frames, channels, generator=generator)
    return motion + size * (0.7 * steady + 0.7 * quick)
