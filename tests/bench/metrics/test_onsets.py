import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.metrics.onsets import onset_times, take_sound
from engine.clock import FrameClock
from engine.errors import AudioError, ConfigError

CLOCK = FrameClock()


def clicks(at: list[float], seconds: float = 8.0) -> np.ndarray:
    sound = np.zeros(int(seconds * 16000), np.float32)
    for time in at:
        start = int(time * 16000)
        fall = np.exp(-np.arange(3000) / 500)
        sound[start : start + 3000] += 0.5 * np.sin(np.arange(3000) * 0.5) * fall
    return sound


@pytest.mark.librosa
def test_onsets_are_counted_from_the_cut():
    found = onset_times(clicks([1.0, 3.0, 4.5, 7.0]), 240, CLOCK)
    # Two seconds are cut at both ends.
    away = np.abs(found[:, None] - np.array([1.0, 2.5]))
    assert away.min(0).max() < 0.06, "an undetected click"
    assert away.min(1).max() < 0.12, "an onset without a click"


@pytest.mark.librosa
def test_a_short_take_has_no_onsets():
    assert len(onset_times(clicks([1.0]), 110, CLOCK)) == 0
    assert len(onset_times(clicks([1.0])[:100], 240, CLOCK)) == 0


def test_without_librosa_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "librosa.onset", None)
    with pytest.raises(ConfigError, match="pip install librosa"):
        onset_times(clicks([1.0]), 240, CLOCK)


def test_sounds_are_read_at_the_rate_of_the_clock(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((24000, 2)), 48000)
    assert take_sound(tmp_path / "a.wav").shape == (8000,)
    with pytest.raises(AudioError):
        take_sound(tmp_path / "none.wav")
