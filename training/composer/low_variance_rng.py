"""Random generator with reduced variance: draws shrink towards their mean.

A network trained on a corpus that pairs the same words with many different gestures learns their
mean, whose amplitude is small.
"""

from typing import Any

import numpy as np


class LowVarianceGenerator(np.random.Generator):
    """Generator on the bit stream of `rng` whose spreads are scaled by `1 - determinism`.

    Uniform and normal draws shrink towards their mean, so comparisons with a probability are
    decided more often by the likelier outcome. `integers` draws from a prefix of its range,
    `choice` sharpens given probabilities. `exponential` is unchanged.
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
    """Wrap `rng` in a `LowVarianceGenerator`; `rng` itself if `determinism` is 0."""
    return LowVarianceGenerator(rng, determinism) if determinism else rng
