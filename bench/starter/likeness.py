"""Frechet gesture distances: to held-out real clips, and between halves of the real clips.

Features are those of an encoder trained on the training clips alone. Halves are large and the
held-out clips few, so beside them stands what as many real clips that were trained on are apart
from the held-out ones: no motion can be expected to be nearer.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bench.gesture_features import (
    EncoderNotes,
    GestureEncoder,
    gesture_features,
    gesture_vectors,
    load_encoder,
    save_encoder,
)
from bench.metrics.frechet import frechet_distance
from bench.metrics.kinematics import Floats
from bench.train_features import FeatureTraining, train_features
from engine.pose import Motion

_STEPS = 400
Numbers = dict[str, float]


def encoder_for(path: Path | None, training: Sequence[Motion]) -> GestureEncoder:
    """The encoder in `path`, or one trained on the clips and kept there."""
    if path is not None and path.is_file():
        return load_encoder(path)[0]
    settings = FeatureTraining(steps=_STEPS)
    vectors = [torch.from_numpy(gesture_vectors(motion)) for motion in training]
    encoder, error = train_features(vectors, settings)
    if path is not None:
        frames = sum(map(len, training))
        notes = EncoderNotes("training clips", "LGPL-2.1", frames, settings.steps, round(error, 5))
        save_encoder(path, encoder, notes)
    return encoder


def features_of(encoder: GestureEncoder, motions: Sequence[Motion]) -> Floats:
    """Features `[N, 240]` of all motions."""
    return np.concatenate([gesture_features(encoder, motion) for motion in motions])


def scale(encoder: GestureEncoder, training: Sequence[Motion], held_out: Sequence[Motion],
          seed: int = 0) -> Numbers:  # fmt: skip
    """Distances among real clips."""
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
