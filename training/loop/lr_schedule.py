"""Learning-rate schedule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from engine.config.serialize import require


class Decay(StrEnum):
    """Shape of the learning rate after the warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    NONE = "none"


@dataclass(frozen=True)
class LrSchedule:
    """Factor of the learning rate by step.

    Attributes:
        warmup_steps: steps of linear increase.
        decay: shape of the decrease after the warm-up.
        min_factor: factor at the last step.
        milestones: (share of the steps, factor) pairs; each factor applies from its share on, in
            addition to the decay.

    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "rise": "warmup_steps",
        "fall": "decay",
        "least": "min_factor",
        "drops": "milestones",
    }

    warmup_steps: int = 50
    decay: Decay = Decay.COSINE
    min_factor: float = 0.01
    milestones: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        require(self.warmup_steps >= 0, "warmup_steps", "0 steps or more", self.warmup_steps)
        require(
            0.0 <= self.min_factor <= 1.0, "min_factor", "a factor from 0 to 1", self.min_factor
        )
        shares = [share for share, _ in self.milestones]
        require(
            all(0.0 <= share <= 1.0 for share in shares), "milestones", "shares from 0 to 1", shares
        )

    def factor(self, step: int, steps: int) -> float:
        """Factor at `step`, 0..steps-1, of a training of `steps` steps."""
        progress = step / max(1, steps)
        up = min(1.0, (step + 1) / max(1, self.warmup_steps))
        left = {
            Decay.COSINE: 0.5 + 0.5 * math.cos(math.pi * progress),
            Decay.LINEAR: 1.0 - progress,
            Decay.NONE: 1.0,
        }[self.decay]
        down = self.min_factor + (1.0 - self.min_factor) * left
        dropped = math.prod(factor for share, factor in self.milestones if progress >= share)
        return up * down * dropped
