"""Smoothness: jerk, and velocity jumps at the seams between windows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics.kinematics import Floats, mean_length


def mean_jerk(positions: Floats, fps: float, counted: NDArray[np.bool_] | None = None) -> float:
    """Mean length of the third derivative (m/s^3) over frames and joints of `[T, J, 3]`.

    counted: frames `[T]` that the mean is of; all frames by default.
    """
    third = np.diff(positions, n=3, axis=0)
    return mean_length(third if counted is None else third[counted[3:]]) * fps**3


@dataclass(frozen=True)
class SeamJumps:
    """Mean change of velocity (m/s) at seams and at other frames."""

    at_seams: float
    elsewhere: float

    @property
    def ratio(self) -> float:
        """Jump at seams over that elsewhere; 1: seams do not differ from other frames."""
        return self.at_seams / max(self.elsewhere, 1e-9)


def seam_jumps(positions: Floats, fps: float, every: int, first: int) -> SeamJumps | None:
    """Changes of velocity at frames `first`, `first + every`, ..., positions `[T, J, 3]`.

    A seam at frame s lies between s - 1 and s; its change is that between the movements to these
    two frames. None without seams, or without other frames.
    """
    changes = np.linalg.norm(np.diff(positions, n=2, axis=0), axis=-1).mean(-1) * fps
    # Index i is the second difference of frames i, i + 1, i + 2, and belongs to frame i + 2.
    seams = np.zeros(len(changes), bool)
    indices = np.arange(first, len(positions), every) - 2
    seams[indices[(indices >= 0) & (indices < len(changes))]] = True
    if not seams.any() or seams.all():
        return None
    return SeamJumps(float(changes[seams].mean()), float(changes[~seams].mean()))
