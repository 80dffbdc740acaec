"""Speech as data: resampled, pitched and shifted with all its times."""

import numpy as np
import pytest

from engine.audio import SAMPLE_RATE
from training.speech.speech import Phone, Speech, SpokenWord, resample


def test_resampling_moves_a_tone_and_keeps_its_loudness() -> None:
    tone = np.sin(2 * np.pi * 200 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    made = resample(tone, SAMPLE_RATE // 2)
    assert len(made) == SAMPLE_RATE // 2
    peak = np.abs(np.fft.rfft(made)).argmax() * SAMPLE_RATE / len(made)
    assert peak == pytest.approx(400, abs=3)
    assert np.sqrt((made**2).mean()) == pytest.approx(np.sqrt(0.5), rel=0.01)


def test_pitch_and_time_shift_all_times() -> None:
    word = SpokenWord("a", 0.2, 0.6, 0.3, 0.5)
    made = Speech(np.zeros(1600, np.float32), (Phone("aa", 0.2, 0.6),), (word,))
    higher = made.pitched(2.0)
    assert len(higher.samples) == 800
    assert higher.words[0] == SpokenWord("a", 0.1, 0.3, 0.15, 0.25)
    assert made.shifted(1.0).phones[0] == Phone("aa", 1.2, 1.6)
