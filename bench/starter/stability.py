"""Stability over ten minutes of one stream: liveliness, drift, copies and repetitions.

Distances to the nearest training clip and to the nearest other second of the same stream are those
of `bench.metrics.nearest`: 0 is a copy. Held-out clips have the same metrics for comparison.
"""

from collections.abc import Sequence

import numpy as np

from bench.metrics.kinematics import WRISTS, Floats, positions_in_body, world_positions
from bench.metrics.nearest import motion_windows, nearest_distances, window_features
from bench.starter import Numbers
from engine.motion.pose import Motion

_MINUTE_S = 60
_APART_S = 10.0


def stability(motion: Motion) -> Numbers:
    """Evenness of wrist motion over the minutes, and drift of the root.

    A last half minute or more counts as a minute. Empty for shorter motions.
    """
    fps = motion.format.clock.frame_rate
    world = world_positions(motion)
    wrists = world[:, WRISTS] - world[:, :1]
    minutes = range(0, len(motion) - _MINUTE_S * fps // 2, _MINUTE_S * fps)
    if not minutes:
        return {}
    spans = [slice(first, first + _MINUTE_S * fps) for first in minutes]
    variances = np.array([wrists[span].var(0).sum(-1).mean() for span in spans])
    roots = np.stack([world[span, 0][:, [0, 2]].mean(0) for span in spans])
    return {
        "minutes": len(motion) / fps / 60,
        "wrist variance of a minute, farthest from the mean": float(
            np.abs(variances / variances.mean() - 1).max()
        ),
        "root, first to last minute m": float(np.linalg.norm(roots[-1] - roots[0])),
        "root, farthest minute m": float(np.linalg.norm(roots - roots[0], axis=-1).max()),
    }


def copying(motions: Sequence[Motion], training: Sequence[Motion]) -> Numbers:
    """Distances (m) of seconds of motions to training clips, and to other seconds of themselves."""
    clips = [(positions_in_body(m), float(m.format.clock.frame_rate)) for m in training]
    near = nearest_distances(motion_windows(motions), clips)
    result = {
        "nearest training clip, median m": float(np.median(near)),
        "nearest training clip, 5 % m": float(np.percentile(near, 5)),
        "seconds nearer than 2 cm to a clip": float((near < 0.02).mean()),
    }
    repeats = np.concatenate([nearest_to_itself(motion) for motion in motions])
    if len(repeats):
        result["nearest other second of itself, median m"] = float(np.median(repeats))
        result["seconds that are repeated within 1 cm"] = float((repeats < 0.01).mean())
    return result


def nearest_to_itself(motion: Motion) -> Floats:
    """Distance (m) of each stretch of _APART_S to the rest of the motion, by windows.

    Frames within _APART_S are excluded: they are the same movement.
    """
    fps = motion.format.clock.frame_rate
    positions, span = positions_in_body(motion), round(_APART_S * fps)
    found = []
    for first in range(0, len(positions) - span, span):
        rest = [positions[: max(first - span, 0)], positions[first + 2 * span :]]
        others = [(part, float(fps)) for part in rest if len(part) > fps]
        if others:
            own = window_features(positions[first : first + span], float(fps))
            found.append(nearest_distances(own, others))
    return np.concatenate([np.zeros(0), *found])
