"""Prominence and gesture units on hand-made speech."""

import numpy as np

from engine.audio import SAMPLE_RATE
from training.composer.plan import Stress, phrases, plan_gestures, prominent_words
from training.speech.speech import Phone, Speech, SpokenWord

TEXT = [
    "the",
    "KING",
    "never",
    "wanted",
    "a",
    "HOUSE",
    "but",
    "we",
    "BUILT",
    "it",
    "anyway",
    "and",
    "THEN",
    "left",
]


def speech(pause_after: int | None = None) -> Speech:
    """A word each 0.4 s whose vowel is a tone; capitals are loud."""
    count = SAMPLE_RATE * 9
    samples = np.zeros(count, np.float32)
    words, at = [], 0.5
    for index, text in enumerate(TEXT):
        first, last = int(at * SAMPLE_RATE), int((at + 0.25) * SAMPLE_RATE)
        tone = np.sin(2 * np.pi * 120 * np.arange(last - first) / SAMPLE_RATE)
        samples[first:last] = tone * (0.5 if text.isupper() else 0.05)
        words.append(SpokenWord(text.lower(), at, at + 0.35, at, at + 0.25))
        at += 1.5 if index == pause_after else 0.4
    return Speech(samples, (Phone("pau", 0.0, 9.0),), tuple(words))


def test_loud_content_words_stand_out_and_keep_their_distance() -> None:
    stresses = prominent_words(speech())
    assert {"king", "house", "built"} <= {s.word for s in stresses}
    assert not {"the", "a", "and", "it"} & {s.word for s in stresses}
    assert np.diff([s.time for s in stresses]).min() >= 0.5
    strongest = max(stresses, key=lambda s: s.strength)
    assert strongest.word in {"king", "house", "built"}


def test_no_content_word_no_stress() -> None:
    quiet = Speech(np.zeros(SAMPLE_RATE, np.float32), (), (SpokenWord("the", 0.1, 0.2, 0.1, 0.2),))
    assert prominent_words(quiet) == []


def test_a_pause_ends_a_phrase() -> None:
    assert [len(p) for p in phrases(speech(pause_after=4))] == [5, len(TEXT) - 5]


def test_units_hold_their_strokes_and_only_a_phrase_ends_in_silence() -> None:
    made = speech(pause_after=6)
    stresses = prominent_words(made)
    units = plan_gestures(made, stresses, np.random.default_rng(0))
    assert [s.time for u in units for s in u.strokes] == [s.time for s in stresses]
    silent = [u for u in units if u.silence > 0]
    assert len(silent) == 2
    assert silent[0].silence > 1.0
    assert units[-1].silence > 1.0
    for unit in units:
        assert all(unit.start <= s.time <= unit.end for s in unit.strokes)


def test_words_decide_the_kind_more_often_than_not() -> None:
    made = speech()
    stresses = [Stress(w.vowel_start, 0.5, w.text) for w in made.words if w.text == "never"]
    drawn = [
        plan_gestures(made, stresses, np.random.default_rng(seed))[0].kind for seed in range(50)
    ]
    assert 30 <= drawn.count("negative") < 50
    assert {kind for kind in drawn if kind != "negative"} <= {"beat_low", "beat_mid", "beat_high"}


def test_more_words_stand_out_when_more_are_asked_for() -> None:
    assert len(prominent_words(speech(), 0.7)) > len(prominent_words(speech(), 2.0)) > 0
