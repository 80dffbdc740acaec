"""What of a window the gesture transformer is shown: suffixes as in live hops, and worn histories.

A live window shows the last frames that were emitted and hides the newest ones. A net that always
sees a clean history learns to continue it and stops listening; so much of the history is hidden
here, dropped and disturbed, and from time to time the hidden end is long.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MaskingConfig:
    """suffixes: (share, shortest, longest) hidden ends in frames. short_history: share of windows
    that show only `shortest` to `longest` frames before the hidden end. noise: largest standard
    deviation on visible (standardised) channels. drop: share of visible frames hidden, from..to.
    """

    suffixes: tuple[tuple[float, int, int], ...] = ((0.4, 1, 8), (0.3, 9, 32), (0.3, 33, 60))
    short_history: float = 0.6
    shortest: int = 4
    longest: int = 16
    noise: float = 0.25
    drop: tuple[float, float] = (0.0, 0.3)


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


def disturb(config: MaskingConfig, motion: Tensor, generator: torch.Generator) -> Tensor:
    """Motion `[B, T, C]` with noise, half of it constant over the window, half new each frame."""
    rows, frames, channels = motion.shape
    size = config.noise * torch.rand(rows, 1, 1, generator=generator)
    steady = torch.randn(rows, 1, channels, generator=generator)
    quick = torch.randn(rows, frames, channels, generator=generator)
    return motion + size * (0.7 * steady + 0.7 * quick)
