"""Synthesised speech: phones without gaps, words where they sound, stress on the right vowel."""

import ctypes.util
import shutil

import numpy as np
import pytest

from engine.errors import ConfigError
from training.phones import SHAPES, VOWELS
from training.speech import RATE, Phone, Speech, SpokenWord, Voice, resample, synthesize

TEXT = "I don't know, however you did something important."
VOICES = ("flite:slt", "flite:kal16", "espeak:en-us+f3")

missing = shutil.which("flite") is None or ctypes.util.find_library("espeak-ng") is None
needs_voices = pytest.mark.skipif(missing, reason="flite and espeak-ng are not installed")


def test_resampling_moves_a_tone_and_keeps_its_loudness() -> None:
    tone = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype(np.float32)
    made = resample(tone, RATE // 2)
    assert len(made) == RATE // 2
    peak = np.abs(np.fft.rfft(made)).argmax() * RATE / len(made)
    assert peak == pytest.approx(400, abs=3)
    assert np.sqrt((made**2).mean()) == pytest.approx(np.sqrt(0.5), rel=0.01)


def test_pitch_and_time_shift_all_times() -> None:
    word = SpokenWord("a", 0.2, 0.6, 0.3, 0.5)
    made = Speech(np.zeros(1600, np.float32), (Phone("aa", 0.2, 0.6),), (word,))
    higher = made.pitched(2.0)
    assert len(higher.samples) == 800
    assert higher.words[0] == SpokenWord("a", 0.1, 0.3, 0.15, 0.25)
    assert made.shifted(1.0).phones[0] == Phone("aa", 1.2, 1.6)


def test_unknown_synthesiser() -> None:
    with pytest.raises(ConfigError, match="flite:slt"):
        synthesize("hello", Voice("hal:9000"))


@pytest.mark.synthesis
@needs_voices
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
    middle = int((phone.start + phone.end) / 2 * RATE)
    sound = said.samples[max(0, middle - 160) : middle + 160]
    return float(10 * np.log10(np.mean(np.square(sound)) + 1e-9)) if len(sound) else -90.0


@pytest.mark.synthesis
@needs_voices
@pytest.mark.parametrize("name", ["flite:slt", "espeak:en-us+f3"])
def test_the_stressed_vowel_of_important_is_its_second(name: str) -> None:
    said = synthesize(TEXT, Voice(name))
    word = said.words[-1]
    vowels = [p for p in said.phones if p.name in VOWELS and word.start <= p.start < word.end]
    assert word.vowel_start == pytest.approx(vowels[1].start, abs=0.01)


@pytest.mark.synthesis
@needs_voices
def test_flite_says_the_same_text_the_same_way() -> None:
    first = synthesize(TEXT, Voice("flite:slt"))
    synthesize("Something else.", Voice("flite:slt"))
    assert np.array_equal(first.samples, synthesize(TEXT, Voice("flite:slt")).samples)
