"""Forced alignment of flite's speech, whose true times are known."""

import numpy as np
import pytest

from engine.errors import TranscriptError
from training.speech.align import Aligner, _filled, _flite_phones, _Segment, _speech, stressed_vowel
from training.speech.speech import Phone

TEXT = "We never wanted such an important garden."


@pytest.mark.synthesis
@pytest.mark.recogniser
def test_words_and_phones_are_found_where_they_were_spoken() -> None:
    from training.speech import flite

    said = flite.speak(TEXT, "slt", 1.0)
    made = Aligner().align(said.samples, TEXT)
    assert [w.text for w in made.words] == [w.text for w in said.words]
    late = [a.start - b.start for a, b in zip(made.words, said.words, strict=True)]
    assert np.abs(late).max() < 0.08
    assert abs(np.median(late)) < 0.03
    vowels = [a.vowel_start - b.vowel_start for a, b in zip(made.words, said.words, strict=True)]
    assert np.median(np.abs(vowels)) < 0.04
    for a, b in zip(made.phones[:-1], made.phones[1:], strict=True):
        assert a.end == pytest.approx(b.start, abs=1e-6)
    assert made.phones[-1].end == pytest.approx(made.duration, abs=0.05)


@pytest.mark.synthesis
@pytest.mark.recogniser
def test_another_text_does_not_fit() -> None:
    from training.speech import flite

    aligner = Aligner()
    said = flite.speak("Yes.", "slt", 1.0)
    with pytest.raises(TranscriptError, match="does not fit"):
        aligner.align(said.samples, TEXT * 3)
    with pytest.raises(TranscriptError, match="got none"):
        aligner.align(said.samples, " 123 ")
    assert aligner.align(said.samples, "Yes.").words[0].text == "yes"


@pytest.mark.synthesis
def test_unknown_words_are_spelled_and_stressed() -> None:
    assert _flite_phones("gromblit").startswith("G R")
    assert all(name.isupper() for name in _flite_phones("gromblit").split())
    assert stressed_vowel("important") == 1
    assert stressed_vowel("garden") == 0


@pytest.mark.synthesis
def test_a_lost_last_phone_shares_the_time_of_the_one_before() -> None:
    segments = [_Segment("phone-Y", 0.1, 0.2), _Segment("phone-EH", 0.2, 0.4)]
    made = _speech(np.zeros(16000, np.float32), ["yes"], [["Y", "EH", "S"]], segments)
    names = [p.name for p in made.phones]
    assert names == ["pau", "y", "eh", "s", "pau"]
    assert made.words[0].end == pytest.approx(0.415)


def test_gaps_are_filled_with_silence() -> None:
    made = _filled([Phone("aa", 0.2, 0.4), Phone("t", 0.42, 0.5), Phone("iy", 0.7, 0.9)], 1.2)
    assert [(p.name, p.start, p.end) for p in made] == [
        ("pau", 0.0, 0.2),
        ("aa", 0.2, 0.42),
        ("t", 0.42, 0.5),
        ("pau", 0.5, 0.7),
        ("iy", 0.7, 0.9),
        ("pau", 0.9, 1.2),
    ]
