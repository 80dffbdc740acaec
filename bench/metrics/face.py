"""Face errors: mean squared error and velocity difference.

The papers compute both on the vertices of a FLAME mesh, whose licence forbids redistribution.
Here they are of the face coefficients and the jaw's rotation vector. Numbers compare only within
one face basis, never with published ones.
"""

import numpy as np

from bench.metrics.kinematics import Floats


def mean_squared_error(made: Floats, true: Floats) -> float:
    """Mean squared error over frames and channels of tracks `[T, C]`."""
    return float(np.square(made - true).mean())


def velocity_difference(made: Floats, true: Floats, fps: float) -> float:
    """LVD: mean absolute difference of velocities (1/s) over frames and channels `[T, C]`."""
    return float(np.abs(np.diff(made - true, axis=0)).mean() * fps) if len(made) > 1 else 0.0
