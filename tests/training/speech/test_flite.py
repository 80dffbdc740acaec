"""flite's segments become words with stressed vowels."""

import numpy as np
import pytest

from training.speech.flite import _from_segments


def row(phone: str, end: float, word: str, first: float, stress: str = "0") -> dict[str, str]:
    return {
        "phone": phone, "end": str(end), "word": word, "token": word.title() + ",",
        "first": str(first), "stress": stress, "accent": stress,
    }  # fmt: skip


def test_words_are_grouped_with_their_stressed_vowel() -> None:
    rows = [
        row("pau", 0.2, "", 0.0),
        row("ax", 0.3, "about", 0.3),
        row("b", 0.35, "about", 0.3, "1"),
        row("aw", 0.5, "about", 0.3, "1"),
        row("t", 0.6, "about", 0.3, "1"),
        row("z", 0.7, "'s", 0.7),
        row("pau", 0.9, "", 0.0),
    ]
    made = _from_segments(np.zeros(16000, np.float32), rows)
    assert [w.text for w in made.words] == ["about's"]
    word = made.words[0]
    assert (word.start, word.end) == (0.2, 0.7)
    assert (word.vowel_start, word.vowel_end) == pytest.approx((0.35, 0.5))
    assert word.accented
    assert [p.end for p in made.phones] == [float(r["end"]) for r in rows]
