"""Chance of somebody with habits: what is drawn keeps near to the usual, what is likely is sure.

A network that hears no future can only learn what follows from what it has heard. Of a corpus in
which the same words come with ever different gestures it learns the mean of them, which is small.
"""

from typing import Any

import numpy as np


class LowVarianceGenerator(np.random.Generator):
    """Draws from the same source as `rng`, with `determinism` 0..1 of the chance taken away.

    Spreads are narrower by it; of an event with some probability it makes one that nearly always or
    hardly ever happens; of several things to choose from the first ones are preferred, the more
    there are the more. Waiting times (exponential) stay as they are.
    """

    def __init__(self, rng: np.random.Generator, determinism: float) -> None:
        super().__init__(rng.bit_generator)
        self._spread = 1.0 - determinism

    def random(self, *args: Any, **options: Any) -> Any:
        return 0.5 + (super().random(*args, **options) - 0.5) * self._spread

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        middle = 0.5 * (np.asarray(low) + np.asarray(high))
        return middle + (super().uniform(low, high, size) - middle) * self._spread

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return super().normal(loc, np.asarray(scale) * self._spread, size)

    def standard_normal(self, *args: Any, **options: Any) -> Any:
        return super().standard_normal(*args, **options) * self._spread

    def integers(self, low: Any, high: Any = None, *args: Any, **options: Any) -> Any:
        first, count = (0, low) if high is None else (low, high - low)
        few = max(1, round(count * self._spread**3))
        return first + super().integers(few, *args, **options)

    def choice(  # type: ignore[override]  # numpy has one signature for each kind of what is drawn
        self, a: Any, size: Any = None, replace: bool = True, p: Any = None, **options: Any
    ) -> Any:
        if p is not None:
            sharper = np.asarray(p, float) ** (1.0 / max(self._spread, 0.05))
            p = sharper / sharper.sum()
        return super().choice(a, size, replace, p, **options)


def low_variance(rng: np.random.Generator, determinism: float) -> np.random.Generator:
    """`rng` with the chance of somebody of so much determinism; itself where there is none."""
    return LowVarianceGenerator(rng, determinism) if determinism else rng
