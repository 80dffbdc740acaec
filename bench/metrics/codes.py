"""Codebook usage and perplexity."""

import numpy as np
from numpy.typing import NDArray


def usage(codes: NDArray[np.int64], size: int) -> float:
    """Share of `size` codes that occur in `codes` `[N]`."""
    return len(np.unique(codes)) / size


def perplexity(codes: NDArray[np.int64]) -> float:
    """Effective number of codes: e to the entropy of their shares."""
    counts = np.unique(codes, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
