"""Joints rotate in place, about their own axes or their parent's."""

import numpy as np
import pytest

from engine.motion.rotation import exp, inverse, log, multiply
from engine.postprocess.joint_offsets import rotate_joints


@pytest.mark.parametrize("parent_axes", [False, True])
def test_joints_rotate_about_their_own_or_their_parents_axes(parent_axes: bool) -> None:
    before = exp(np.random.default_rng(1).normal(0, 0.6, (3, 6, 3))).astype(np.float32)
    rotations, vectors = before.copy(), np.array([[0.1, 0.0, -0.2], [0.0, 0.3, 0.0]])
    rotate_joints(rotations, (1, 4), vectors, parent_axes=parent_axes)
    old, new = before[:, (1, 4)], rotations[:, (1, 4)]
    made = multiply(new, inverse(old)) if parent_axes else multiply(inverse(old), new)
    np.testing.assert_allclose(log(made), np.tile(vectors, (3, 1, 1)), atol=1e-6)
    np.testing.assert_array_equal(rotations[:, (0, 2, 3, 5)], before[:, (0, 2, 3, 5)])
    assert rotations.dtype == np.float32
