import numpy as np
import pytest

from bench.metrics.nearest import nearest_distances, window_features

FPS = 30.0


def moving(seed: int, frames: int = 90) -> np.ndarray:
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 6, (1, 55, 3))
    return 0.3 * np.sin(np.arange(frames)[:, None, None] / 9 + phase)


def test_windows_begin_every_half_second():
    features = window_features(moving(1), FPS)
    # Starts 0, 15, ... 60, each 27 frames long; ten poses of thirteen joints.
    assert features.shape == (5, 10 * 13 * 3)
    assert window_features(moving(1)[:27], FPS).shape == (0, 390)
    assert window_features(moving(1)[:28], FPS).shape == (1, 390)
    later = window_features(moving(1)[15:], FPS)
    np.testing.assert_array_equal(features[1], later[0])


def test_a_copy_is_found_wherever_it_is():
    own = window_features(moving(1), FPS)
    hidden = np.concatenate([moving(2, 33), moving(1)])  # training windows begin every 3 frames
    found = nearest_distances(own, [(moving(3), FPS), (hidden, FPS)])
    assert found == pytest.approx(np.zeros(5), abs=1e-6)


def test_the_distance_is_that_of_the_joints():
    own = window_features(moving(1, 30), FPS)
    beside = moving(1, 30) + np.array([0.03, 0, 0.04])
    assert nearest_distances(own, [(beside, FPS)]) == pytest.approx([0.05], rel=1e-4)


def test_only_the_upper_body_counts():
    own = window_features(moving(1, 30), FPS)
    legs = moving(1, 30)
    legs[:, [4, 5, 7, 8, 30]] += 1.0
    assert nearest_distances(own, [(legs, FPS)]) == pytest.approx([0.0], abs=1e-6)


def test_frame_rates_may_differ():
    slow = moving(1, 61)[::2]
    found = nearest_distances(window_features(moving(1, 61), FPS), [(slow, 15.0)])
    assert found.max() < 2e-3


def test_without_training_windows_the_distance_is_infinite():
    assert np.isinf(nearest_distances(window_features(moving(1), FPS), [])).all()
