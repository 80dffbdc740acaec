"""Rotation of joints by rotation vectors, shared by several stages."""

from collections.abc import Sequence

import numpy as np

from engine.motion.pose import FloatArray
from engine.motion.rotation import exp, multiply, normalize


def rotate_joints(
    rotations: FloatArray,
    joints: Sequence[int],
    vectors: np.ndarray,
    *,
    parent_axes: bool = False,
) -> None:
    """Rotate K joints of `rotations` `[T, J, 4]` in place by vectors `[T, K or 1, 3]`, radians.

    The axes are those of each joint, or of its parent if `parent_axes`.
    """
    selected = list(joints)
    own, offset = rotations[:, selected].astype(np.float64), exp(vectors)
    product = multiply(offset, own) if parent_axes else multiply(own, offset)
    rotations[:, selected] = normalize(product)
