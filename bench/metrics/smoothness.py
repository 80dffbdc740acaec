"""Smoothness: jerk, and jumps where windows are joined."""

from dataclasses import dataclass

import numpy as np

from bench.metrics.kinematics import Floats, mean_length


def mean_jerk(positions: Floats, fps: float) -> float:
    """Mean length of the third derivative (m/s^3) over frames and joints of `[T, J, 3]`."""
    return mean_length(np.diff(positions, n=3, axis=0)) * fps**3


@dataclass(frozen=True)
class SeamJumps:
    """Mean change of velocity (m/s) at seams and elsewhere."""

    at_seams: float
    elsewhere: float

    @property
    def ratio(self) -> float:
        """1: seams cannot be told from other frames."""
        return self.at_seams / max(self.elsewhere, 1e-9)


def seam_jumps(positions: Floats, fps: float, every: int, first: int) -> SeamJumps | None:
    """Changes of velocity at frames `first`, `first + every`, ..., positions `[T, J, 3]`.

    A seam at frame s lies between s - 1 and s: its change is from the way to s - 1 to the way to s.
    None where there is no seam, or nothing else.
    """
    changes = np.linalg.norm(np.diff(positions, n=2, axis=0), axis=-1).mean(-1) * fps
    # The change at index i is of the frames i, i + 1, i + 2: it belongs to frame i + 2.
    seams = np.zeros(len(changes), bool)
    places = np.arange(first, len(positions), every) - 2
    seams[places[(places >= 0) & (places < len(changes))]] = True
    if not seams.any() or seams.all():
        return None
    return SeamJumps(float(changes[seams].mean()), float(changes[~seams].mean()))
