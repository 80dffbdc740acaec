"""Classifier on clips with distinct arm poses."""

import numpy as np
import pytest

from bench.starter.gesture_classifier import classes_of, examples, features, train, windows
from engine.errors import ConfigError
from engine.motion.rotation import exp, identity
from engine.motion.skeleton import SMPLX_55
from training.composer.blend import Clip
from training.composer.library import ClipLibrary


def clip(name: str, family: str, turn: tuple[float, float, float], use: str = "gesture") -> Clip:
    """Both arms move from hanging to a pose and back in two seconds."""
    frames = 60
    share = np.sin(np.pi * np.arange(frames) / (frames - 1))[:, None]
    rotations = identity(frames, 55)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hanging = np.tile([0.0, 0.0, -1.3 * sign], (frames, 1))
        rotations[:, SMPLX_55.index(f"{side}_shoulder")] = exp(hanging).astype(np.float32)
        way = share * np.array([turn[0], sign * turn[1], sign * turn[2]])
        rotations[:, SMPLX_55.index(f"{side}_elbow")] = exp(way).astype(np.float32)
    zeros = [np.zeros((frames, width), np.float32) for width in (3, 4)]
    return Clip(name, rotations, *zeros, use, "train", family)


def library(*clips: Clip) -> ClipLibrary:
    return ClipLibrary([clip("idle", "", (0, 0, 0), "idle"), *clips], "train")


def test_families_of_the_same_kinds_are_one_class() -> None:
    kinds = classes_of({"me": ["me"], "all": ["surround", "safe"], "negative": ["safe", "no"]})
    assert kinds == {
        "me": {"me"}, "surround": {"all"}, "safe": {"all", "negative"}, "no": {"negative"}
    }  # fmt: skip


def test_features_are_independent_of_place_and_heading() -> None:
    moved = clip("a", "Me", (0.0, -1.5, 0.0)).rotations.copy()
    before = features(moved)
    moved[:, 0] = exp(np.array([0.0, 1.0, 0.0], np.float32))
    np.testing.assert_allclose(features(moved), before, atol=1e-5)


def test_windows_have_the_pose_and_its_change() -> None:
    rows = np.arange(20.0)[:, None]
    np.testing.assert_allclose(windows(rows, np.array([10, 0])), [[10.0, 10.0], [0.0, 5.0]])


def test_training_clips_and_their_mirror_images_are_classified() -> None:
    ways = {"Me": (0.0, -2.0, 0.0), "Stop": (-1.5, 0.0, 1.5)}
    clips = [
        clip(f"{family}{i}", family, tuple(np.array(way) * (0.9 + 0.1 * i)))  # type: ignore[arg-type]
        for family, way in ways.items()
        for i in range(3)
    ]
    own = library(*clips)
    classifier = train(own)
    assert classifier.classes == (frozenset(), frozenset({"me"}), frozenset({"stop"}))
    seen = examples(own, classifier.classes)
    assert (classifier.scores(seen.windows).argmax(1) == seen.labels).mean() > 0.95
    assert len(np.unique(seen.clips)) == 12, "each clip and its mirror image"
    again = train(own)
    np.testing.assert_array_equal(classifier.weights, again.weights)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="two gesture classes"):
        train(library(clip("a", "Me", (0.0, -2.0, 0.0))))
