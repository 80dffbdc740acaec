"""Hand-made arm speeds with known strokes."""

from collections.abc import Sequence

import numpy as np

FPS = 30.0


def peaks(times: Sequence[float], seconds: float, height: float = 1.0) -> np.ndarray:
    """Speed `[T]` (m/s) with a peak of `height` at each of `times` (s)."""
    at = np.arange(int(seconds * FPS)) / FPS
    return sum((height * np.exp(-0.5 * ((at - t) / 0.05) ** 2) for t in times), np.zeros(len(at)))
