"""Frechet gesture distances to held-out clips, and between halves of all recorded clips.

Halves are large and the held-out clips few; the distance between training and held-out clips is
therefore the lowest value that generated motion can be expected to have.
"""

from collections.abc import Sequence

import numpy as np

from bench.metrics.frechet import frechet_distance
from bench.metrics.gesture_features import GestureEncoder, gesture_features
from bench.metrics.kinematics import Floats
from bench.starter import Numbers
from engine.motion.pose import Motion


def features_of(encoder: GestureEncoder, motions: Sequence[Motion]) -> Floats:
    """Features `[N, 240]` of all motions."""
    return np.concatenate([gesture_features(encoder, motion) for motion in motions])


def scale(encoder: GestureEncoder, training: Sequence[Motion], held_out: Sequence[Motion],
          seed: int = 0) -> Numbers:  # fmt: skip
    """Distances between recorded clips."""
    every = [*training, *held_out]
    order = np.random.default_rng(seed).permutation(len(every))
    halves = [features_of(encoder, [every[i] for i in order[k::2]]) for k in (0, 1)]
    known = features_of(encoder, training)
    return {
        "FGD between halves of the real clips": frechet_distance(*halves),
        "FGD of training clips to held-out clips": frechet_distance(
            known, features_of(encoder, held_out)
        ),
    }


def distance(
    encoder: GestureEncoder, motions: Sequence[Motion], held_out: Sequence[Motion]
) -> float:
    """FGD of motions to the held-out clips."""
    return frechet_distance(features_of(encoder, motions), features_of(encoder, held_out))
