"""Beat constancy (BC): alignment of gesture beats with audio onsets.

A gesture beat is a local minimum of the speed of one upper-body joint. Two published forms, which
cannot be compared with each other:

- Equation 13 of EMAGE averages over GESTURE beats: the distance to the nearest onset.
- The authors' code averages over AUDIO onsets, joint by joint: the distance to the nearest beat.
  It counts beats from the 60 frames cut off at the beginning, but checks in the uncut array
  whether the joint moved there: two seconds too early. Published numbers (0.69 for the ground
  truth) are of this kind. With the corrected index the same motion gets about 0.25 less.

Speeds are relative to the joints' means over a data set; onsets are in seconds.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics.kinematics import Floats
from engine.motion.skeleton import PART_JOINTS, BodyPart

BEAT_JOINTS = PART_JOINTS[BodyPart.UPPER]
CUT_FRAMES = 60
"""Frames left out at both ends of a take."""
ORDER = 7
"""Frames on each side whose speed must be higher than that of a beat."""
LEAST_SPEED = 0.3
"""Minimum speed relative to the joint's mean; a slower joint did not move."""
SIGMA_S = 0.3


def minima(speed: Floats, order: int = ORDER) -> NDArray[np.int64]:
    """Frames of `speed` `[T]` that are strictly below `order` neighbours on each side.

    Beyond the ends the last value counts as the neighbour, so the first and last frame are none.
    """
    frames = np.arange(len(speed))
    lowest = np.ones(len(speed), bool)
    for step in range(1, order + 1):
        for other in (frames - step, frames + step):
            lowest &= speed < speed[np.clip(other, 0, len(speed) - 1)]
    return np.flatnonzero(lowest)


def gesture_beats(relative: Floats, fps: float, *, slip: bool = False) -> list[Floats]:
    """Times (s, from the end of the cut) of each joint's beats in relative speeds `[T, J]`.

    slip: check the joint's speed `CUT_FRAMES` too early, as the authors' code does.
    """
    inner = relative[CUT_FRAMES : len(relative) - CUT_FRAMES]
    result = []
    for joint in range(relative.shape[1]):
        beats = minima(inner[:, joint])
        moved = relative[beats if slip else beats + CUT_FRAMES, joint] > LEAST_SPEED
        result.append(beats[moved] / fps)
    return result


def _nearness(points: Floats, others: Floats) -> Floats:
    """Closeness of each point to the nearest of `others`: 1 at distance 0, e^-1/2 at SIGMA_S."""
    ordered = np.sort(others)
    after = np.searchsorted(ordered, points)
    before, after = np.clip([after - 1, after], 0, len(ordered) - 1)
    away = np.minimum(np.abs(points - ordered[before]), np.abs(points - ordered[after]))
    return np.asarray(np.exp(-np.square(away) / (2 * SIGMA_S**2)), np.float64)


def bc_equation_13(beats: Sequence[Floats], onsets: Floats) -> float | None:
    """Mean closeness to onsets over the gesture beats of all joints; None without either."""
    every = np.concatenate([np.zeros(0), *beats])
    if not len(every) or not len(onsets):
        return None
    return float(_nearness(every, onsets).mean())


def bc_over_onsets(beats: Sequence[Floats], onsets: Floats) -> float | None:
    """Mean closeness to a joint's beats over onsets, then over joints.

    A joint without beats is 0. None without onsets or joints.
    """
    if not len(onsets) or not beats:
        return None
    return float(nearness_over_joints(beats, onsets).mean())


def nearness_over_joints(beats: Sequence[Floats], times: Floats) -> Floats:
    """Closeness of the joints' beats to each of `times` `[N]` (s), mean over joints `[N]`.

    A joint without beats counts as 0.
    """
    scores = [_nearness(times, own) if len(own) else np.zeros(len(times)) for own in beats]
    return np.asarray(np.mean(scores, axis=0), np.float64)
