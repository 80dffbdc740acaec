"""Posture: angles of head and chest, spread of joint rotations, weight shifts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.feet import ANKLES
from bench.metrics.kinematics import Floats
from engine.motion.rotation import cross, exp, log, multiply, normalize, to_sixd

_HIPS = (1, 2)
# Position of the pelvis between the ankles: 0 is the left one, 1 the right one.
_LEFT, _RIGHT = 0.42, 0.58


def angles(positions: Floats, rotations: Floats) -> Floats:
    """Pitch and roll against the world, yaw against the hips `[T, 3]`, degrees.

    positions: world `[T, J, 3]`; rotations: world rotations `[T, 4]` of one joint.
    """
    across = positions[:, _HIPS[0]] - positions[:, _HIPS[1]]
    across[:, 1] = 0
    forward = cross(normalize(across), np.broadcast_to([0.0, 1.0, 0.0], across.shape))
    heading = np.arctan2(forward[:, 0], forward[:, 2])
    turned = np.zeros((len(heading), 3))
    turned[:, 1] = -heading
    return np.asarray(np.rad2deg(log(multiply(exp(turned), rotations))))


def rotation_spread(rotations: NDArray[Any]) -> Floats:
    """Standard deviation `[J]` of rotations `[T, J, 4]`: the length of that of the 6D rotation."""
    return np.sqrt(np.square(to_sixd(rotations.astype(np.float64)).std(0)).sum(-1))


def weight_shifts(positions: Floats, counted: NDArray[np.bool_]) -> int:
    """Number of moves of the pelvis from above one foot to above the other in frames `counted`.

    positions: `[T, J, 3]`. Positions near the middle between the ankles count for neither foot.
    """
    left, right = (positions[:, joint][:, [0, 2]] for joint in ANKLES)
    axis = right - left
    along = ((positions[:, 0][:, [0, 2]] - left) * axis).sum(-1) / (axis**2).sum(-1)
    side = np.where(along < _LEFT, -1, np.where(along > _RIGHT, 1, 0))
    side = side[(side != 0) & counted]
    return int((np.diff(side) != 0).sum())
