"""L1 diversity: distance between poses without translation (EMAGE, supplement A)."""

import numpy as np

from bench.metrics.kinematics import Floats


def l1_from_mean(positions: Floats) -> float:
    """Mean over frames of the L1 distance to the mean pose, positions `[T, J, 3]` (m).

    The formula of the authors' code, and of the published numbers.
    """
    flat = positions.reshape(len(positions), -1)
    return float(np.abs(flat - flat.mean(0)).sum(1).mean())


def l1_between_pairs(positions: Floats) -> float:
    """Equation 12: half the mean L1 distance between two different frames, `[T, J, 3]` (m).

    All T (T - 1) pairs, by sorting: the k-th smallest of T numbers is added k times and subtracted
    T - 1 - k times. 0 for a single frame.
    """
    count = len(positions)
    if count < 2:
        return 0.0
    ordered = np.sort(positions.reshape(count, -1), axis=0)
    weights = 2.0 * np.arange(count) - (count - 1)
    # Each unordered pair occurs twice in the sum of the equation, which is halved again.
    return float((ordered * weights[:, None]).sum() / (count * (count - 1)))
