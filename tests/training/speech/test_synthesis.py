"""Synthesised speech: phones without gaps, word times, stressed vowels."""

import numpy as np
import pytest

from engine.audio import SAMPLE_RATE
from engine.errors import ConfigError
from training.speech.phones import SHAPES, VOWELS
from training.speech.speech import Phone, Speech
from training.speech.synthesis import Voice, synthesize

TEXT = "I don't know, however you did something important."
VOICES = ("flite:slt", "flite:kal16", "espeak:en-us+f3")


def test_unknown_synthesiser() -> None:
    with pytest.raises(ConfigError, match="flite:slt"):
        synthesize("hello", Voice("hal:9000"))


@pytest.mark.synthesis
@pytest.mark.parametrize("name", VOICES)
def test_phones_and_words_lie_where_they_sound(name: str) -> None:
    said = synthesize(TEXT, Voice(name, 1.1, 0.9))
    assert [w.text for w in said.words] == TEXT.lower().replace(",", "").replace(".", "").split()
    assert {p.name for p in said.phones} <= set(SHAPES)
    for before, after in zip(said.phones[:-1], said.phones[1:], strict=True):
        assert after.start == pytest.approx(before.end, abs=1e-6)
    assert abs(said.phones[-1].end - said.duration) < 0.15
    loud = np.array([_level(said, p) for p in said.phones if p.name in VOWELS])
    quiet = np.array([_level(said, p) for p in said.phones if p.name in ("pau", "t", "p")])
    assert np.median(loud) > np.median(quiet) + 15


def _level(said: Speech, phone: Phone) -> float:
    middle = int((phone.start + phone.end) / 2 * SAMPLE_RATE)
    sound = said.samples[max(0, middle - 160) : middle + 160]
    return float(10 * np.log10(np.mean(np.square(sound)) + 1e-9)) if len(sound) else -90.0


@pytest.mark.synthesis
@pytest.mark.parametrize("name", ["flite:slt", "espeak:en-us+f3"])
def test_the_stressed_vowel_of_important_is_its_second(name: str) -> None:
    said = synthesize(TEXT, Voice(name))
    word = said.words[-1]
    vowels = [p for p in said.phones if p.name in VOWELS and word.start <= p.start < word.end]
    assert word.vowel_start == pytest.approx(vowels[1].start, abs=0.01)


@pytest.mark.synthesis
@pytest.mark.parametrize("name", VOICES)
def test_the_same_text_sounds_the_same_whatever_was_said_before(name: str) -> None:
    first = synthesize(TEXT, Voice(name))
    for other in ("Something else.", "No! Never, ever again?"):
        synthesize(other, Voice(name, 1.2))
    again = synthesize(TEXT, Voice(name))
    assert np.array_equal(first.samples, again.samples)
    assert (first.phones, first.words) == (again.phones, again.words)


@pytest.mark.synthesis
def test_a_voice_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="en-us"):
        synthesize(TEXT, Voice("espeak:hal9000"))
    assert len(synthesize(TEXT, Voice("espeak:en-us")).words) == 8
