"""Memorisation: distance of each second of motion to the nearest one of the training clips.

Distances are root mean squares over upper-body joints and frames, in the frame of the pelvis; 0 is
a copy. A generator that is nearer to its training clips than held-out recordings are repeats them.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics.kinematics import Floats, positions_in_body
from engine.motion.pose import Motion
from engine.motion.skeleton import PART_JOINTS, BodyPart

SPACING_S = 0.1
SAMPLES = 10
"""Poses per window, SPACING_S apart: one second at any frame rate."""
_EVERY_S = 0.5  # between windows of the evaluated motion
_TRAINING_EVERY_S = 0.1
_BLOCK = 8192  # training windows per matrix product


def window_features(
    positions: Floats, fps: float, every_s: float = _EVERY_S
) -> NDArray[np.float32]:
    """Windows `[N, F]` (m) of positions `[T, J, 3]` in the frame of the pelvis."""
    joints = positions[:, list(PART_JOINTS[BodyPart.UPPER])].reshape(len(positions), -1)
    span = (SAMPLES - 1) * SPACING_S * fps
    starts = np.arange(0, len(positions) - 1 - span + 1e-6, every_s * fps)
    frames = starts[:, None] + np.arange(SAMPLES) * SPACING_S * fps
    before = np.floor(frames + 1e-6).astype(int)
    after = np.minimum(before + 1, len(positions) - 1)
    share = np.clip(frames - before, 0.0, 1.0)[..., None]
    between = joints[before] * (1 - share) + joints[after] * share
    return np.asarray(between.reshape(len(starts), SAMPLES * joints.shape[1]), np.float32)


def motion_windows(motions: Sequence[Motion]) -> NDArray[np.float32]:
    """Windows `[N, F]` (m) of all motions."""
    return np.concatenate(
        [window_features(positions_in_body(m), float(m.format.clock.frame_rate)) for m in motions]
    )


def nearest_distances(
    windows: NDArray[np.float32], training: Iterable[tuple[Floats, float]]
) -> Floats:
    """Distance (m) `[N]` of each window to the nearest of all windows of the training motions.

    training: (positions `[T, J, 3]`, frames per second), consumed one at a time to bound memory.
    Infinite without training windows.
    """
    best = np.full(len(windows), np.inf)
    points = windows.shape[1] // 3
    own = np.square(windows).sum(1)[:, None]
    for positions, fps in training:
        theirs = window_features(positions, fps, _TRAINING_EVERY_S)
        for first in range(0, len(theirs), _BLOCK):
            block = theirs[first : first + _BLOCK]
            squares = own - 2.0 * windows @ block.T + np.square(block).sum(1)[None]
            candidates = block[squares.argmin(1)]
            # The expanded square cancels for near-copies: recompute the nearest distance exactly.
            exact = np.square(windows - candidates).sum(1)
            best = np.minimum(best, np.sqrt(exact / points))
    return np.asarray(best, np.float64)
