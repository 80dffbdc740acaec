"""Distances between motions by untrained features."""

import pytest
import torch

from bench.metrics.gesture_features import GestureEncoder
from bench.starter.fgd import distance, features_of, scale
from tests.support.training_fixtures import waving


def encoder() -> GestureEncoder:
    torch.manual_seed(0)
    return GestureEncoder().eval().requires_grad_(False)


def test_distance_grows_with_the_difference() -> None:
    own, clips = encoder(), [waving(seed, 70) for seed in range(3)]
    assert features_of(own, clips).shape == (3 * 17, 240)
    assert distance(own, clips, clips) == pytest.approx(0.0, abs=1e-6)
    assert distance(own, clips[:1], clips[1:]) > distance(own, clips[:2], clips)


def test_scale_has_distances_between_recorded_clips() -> None:
    found = scale(encoder(), [waving(seed, 70) for seed in range(3)], [waving(9, 70)])
    assert set(found) == {
        "FGD between halves of the real clips",
        "FGD of training clips to held-out clips",
    }
    assert min(found.values()) > 0.0
