"""Frechet distance between two sets of features, each as a normal distribution."""

import numpy as np

from bench.metrics.kinematics import Floats
from engine.errors import ShapeError


def frechet_distance(ours: Floats, theirs: Floats) -> float:
    """Equation 11 for features `[N, D]` and `[M, D]`; at least two of each.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2), the last trace from the eigenvalues of the symmetric
    C1^1/2 C2 C1^1/2, which has no complex roots. Raises ShapeError.
    """
    if ours.ndim != 2 or theirs.ndim != 2 or ours.shape[1] != theirs.shape[1]:
        raise ShapeError(f"expected features [N, D] and [M, D], got {ours.shape}, {theirs.shape}")
    if min(len(ours), len(theirs)) < 2:
        raise ShapeError("a Frechet distance needs at least two features on each side")
    between = np.square(ours.mean(0) - theirs.mean(0)).sum()
    a, b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (ours, theirs))
    root = _root(a)
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ b @ root), 0.0, None)).sum()
    return float(max(between + np.trace(a) + np.trace(b) - 2.0 * shared, 0.0))


def _root(matrix: Floats) -> Floats:
    """Square root of a symmetric positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T, np.float64)
