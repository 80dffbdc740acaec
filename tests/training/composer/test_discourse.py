"""Discourse rules: senses of words for hands, head and brows."""

from itertools import pairwise

import pytest

from training.composer.discourse import KEYWORDS, WEIGHTS, kind_of, sense_at, senses
from training.composer.library import FAMILIES


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("i like it", "me"),
        ("did you see", "you"),
        ("our house stands", "we"),
        ("he never came", "negative"),
        ("it is huge", "big"),
        ("a tiny bit", "small"),
        ("everybody came", "all"),
        ("perhaps later", "doubt"),
        ("i don't know", "doubt"),
        ("who knows", "doubt"),
        ("cheap but slow", "contrast"),
        ("look over there", "left"),
        ("stop the car", "stop"),
        ("for example this", "list"),
        ("please come", "offer"),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    found = [sense.kind for sense in senses(text.split()) if sense]
    assert kind in found


def test_every_kind_of_word_has_clips_and_a_weight() -> None:
    assert set(KEYWORDS) == set(WEIGHTS)
    assert set(KEYWORDS) <= set(FAMILIES)
    assert all(0 < weight < 1 for weight in WEIGHTS.values())


def test_heads_shake_at_negations_and_tilt_at_doubts() -> None:
    assert [s.head for s in senses(["never"]) if s] == ["shake"]
    assert [s.head for s in senses(["maybe"]) if s] == ["tilt"]
    assert [s.head for s in senses(["yes"]) if s] == ["nod"]


def test_contrasts_change_hands() -> None:
    words = ["it", "is", "cheap", "but", "slow", "and", "first", "old", "however", "second", "new"]
    hands = [s.hand for s in senses(words) if s and s.kind in ("contrast", "list")]
    assert len(hands) == 4
    assert all(a != b for a, b in pairwise(hands))


def test_a_stress_takes_the_sense_of_a_word_shortly_before() -> None:
    found = senses(["my", "old", "garden", "grows"])
    assert (sense := sense_at(found, 2)) is not None
    assert sense.kind == "me"
    assert sense_at(found, 3) is None
    assert sense_at(senses(["the", "garden"]), 1) is None
    assert kind_of(["garden"], 0) == ""
