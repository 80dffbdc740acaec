"""Hits, base rates and chance level of hand-made verdicts."""

import numpy as np
import pytest

from bench.starter.gesture_classifier import Classifier, Examples
from bench.starter.renderings import Scene
from bench.starter.semantics import (
    KINDS,
    Verdicts,
    confusion,
    confusion_text,
    judged,
    meaning_numbers,
    over_base,
    serves,
)
from bench.starter.speech_set import Part
from engine.audio import SAMPLE_RATE
from engine.motion.rotation import identity
from tests.support.training_fixtures import waving
from training.speech.speech import Phone, Speech, SpokenWord

CLASSES = (frozenset[str](), frozenset({"negative"}), frozenset({"list", "beat_mid"}))


def verdicts(kinds: list[str], found: list[bool]) -> Verdicts:
    """`found`: whether a negation is found."""
    table = np.zeros((len(kinds), len(KINDS)), bool)
    table[:, KINDS.index("negative")] = found
    return Verdicts(np.array(kinds), table, np.array([k == "negative" for k in KINDS]))


def test_rate_and_base_rate() -> None:
    """Found after 2 of 4 negations and after 2 of 16 other words."""
    own = verdicts(
        ["negative"] * 4 + [""] * 16, [True, True, False, False] + [True, True] + 14 * [False]
    )
    assert over_base(own.kinds, own) == pytest.approx((0.5, 0.125))
    found = meaning_numbers(own, "with words", rounds=400)
    assert found["family over base rate, with words"] == pytest.approx(4.0)
    assert found["words that ask, with words"] == 4.0
    assert 0.02 < found["family, p, with words"] < 0.4


def test_kinds_without_a_class_of_their_own_do_not_count() -> None:
    own = verdicts(["list", "list", "negative", ""], [False, False, True, False])
    assert over_base(own.kinds, own) == pytest.approx((1.0, 0.0))
    assert meaning_numbers(verdicts([], []), "with words") == {}


def test_families_of_beats_serve_no_kind() -> None:
    classifier = Classifier(CLASSES, np.zeros(1), np.ones(1), np.zeros((2, 3)))
    table = serves(classifier)
    assert table[1, KINDS.index("negative")]
    assert table.sum() == 1


def test_the_window_after_a_content_word_is_classified() -> None:
    """A classifier that always finds a negation, and one word that calls for it."""
    motion = waving(1, 90)
    motion.poses.rotations[:] = identity(55)
    words = tuple(
        SpokenWord(text, at, at + 0.3, at, at + 0.1)
        for text, at in (("nothing", 0.2), ("the", 0.6), ("tree", 1.0))
    )
    speech = Speech(np.zeros(3 * SAMPLE_RATE, np.float32), (Phone("pau", 0, 3),), words)
    from bench.starter.gesture_classifier import features, windows

    width = windows(features(motion.poses.rotations), np.array([0])).shape[1]
    weights = np.zeros((width + 1, 3))
    weights[-1, 1] = 5.0
    classifier = Classifier(CLASSES, np.zeros(width), np.ones(width), weights)
    found = judged([Scene(Part("x", speech), motion)], classifier)
    assert [*found.kinds] == ["negative", ""], "`the` is not a content word"
    assert found.found[:, KINDS.index("negative")].all()


def test_confusions_are_of_clips() -> None:
    weights = np.array([[0.0, 0.0, 3.0], [0.0, 1.0, 0.0]])
    classifier = Classifier(CLASSES, np.zeros(1), np.ones(1), weights)
    seen = Examples(np.array([[0.0], [0.1], [1.0]]), np.array([1, 1, 1]), np.array([0, 0, 1]))
    names, counts = confusion(classifier, seen)
    assert counts[1].tolist() == [0, 1, 1]
    text = confusion_text(names, counts)
    assert "1 of 2" in text
    assert "beat_mid/list 1" in text
    assert text.endswith("correct gestures: 1 of 2 clips")
