"""Joints of a chunk turned by rotation vectors, as several layers do."""

from collections.abc import Sequence

import numpy as np

from engine.motion.pose import FloatArray
from engine.motion.rotation import exp, multiply, normalize


def turned(
    rotations: FloatArray, joints: Sequence[int], vectors: np.ndarray, *, outside: bool = False
) -> None:
    """Turn K joints of `[T, J, 4]` in place by rotation vectors `[T, K or 1, 3]`.

    Each about its own axes; outside: about its parent's.
    """
    chosen = list(joints)
    own, turn = rotations[:, chosen].astype(np.float64), exp(vectors)
    rotations[:, chosen] = normalize(multiply(turn, own) if outside else multiply(own, turn))
