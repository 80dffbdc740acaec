"""The learning rate over a training, as data. Knows numbers only."""

import math
from dataclasses import dataclass
from enum import StrEnum

from engine.config.serialize import require


class Fall(StrEnum):
    """How the rate goes down after its rise."""

    COSINE = "cosine"
    LINEAR = "linear"
    NONE = "none"


@dataclass(frozen=True)
class RateSchedule:
    """A factor on the rate for each step.

    rise: steps in which it goes up linearly. fall: from there to `least`, the factor at the end.
    drops: (share of the steps, factor) pairs; from that share on the rate is multiplied by the
    factor, on top of the fall.
    """

    rise: int = 50
    fall: Fall = Fall.COSINE
    least: float = 0.01
    drops: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        require(self.rise >= 0, "rise", "0 steps or more", self.rise)
        require(0.0 <= self.least <= 1.0, "least", "a factor from 0 to 1", self.least)
        shares = [share for share, _ in self.drops]
        require(all(0.0 <= share <= 1.0 for share in shares), "drops", "shares from 0 to 1", shares)

    def factor(self, step: int, steps: int) -> float:
        """The factor at `step` 0..steps-1 of a training of `steps`; a function of these alone."""
        progress = step / max(1, steps)
        up = min(1.0, (step + 1) / max(1, self.rise))
        left = {
            Fall.COSINE: 0.5 + 0.5 * math.cos(math.pi * progress),
            Fall.LINEAR: 1.0 - progress,
            Fall.NONE: 1.0,
        }[self.fall]
        down = self.least + (1.0 - self.least) * left
        dropped = math.prod(factor for share, factor in self.drops if progress >= share)
        return up * down * dropped
