import numpy as np
import pytest

from engine.audio.onsets import HOP, OnsetPicker
from tests.support.audio import babble
from tests.support.laws import reset_law, snapshot_law, split_law


class ArrayOnsetPicker:
    """Adapts the picker to the streaming laws: outputs are arrays."""

    def __init__(self) -> None:
        self.picker = OnsetPicker()
        self.reset, self.snapshot = self.picker.reset, self.picker.snapshot
        self.restore = self.picker.restore

    def feed(self, samples: np.ndarray) -> np.ndarray:
        return np.array(self.picker.feed(samples), np.int64)


def bursts(at_s: list[float], seconds: float) -> np.ndarray:
    """Noise bursts with an abrupt attack and exponential decay."""
    rng = np.random.default_rng(0)
    sound = 1e-5 * rng.standard_normal(int(seconds * 16000))
    for start in at_s:
        length = 1600
        begin = int(start * 16000)
        sound[begin : begin + length] += rng.standard_normal(length) * np.geomspace(
            0.3, 1e-3, length
        )
    return sound.astype(np.float32)


def test_the_streaming_laws() -> None:
    sound = babble(3.0)
    assert len(split_law(ArrayOnsetPicker(), sound)) > 5
    reset_law(ArrayOnsetPicker(), sound)
    snapshot_law(ArrayOnsetPicker(), sound, (0, 1000, 20000))


def test_every_burst_is_found_once_and_nothing_else() -> None:
    true_s = [0.5, 0.9, 1.6, 2.05, 2.7]
    found = np.array(OnsetPicker().feed(bursts(true_s, 3.2))) / 16000
    assert len(found) == len(true_s)
    assert np.abs(found - true_s).max() < 2 * HOP / 16000


def test_silence_and_a_steady_tone_have_no_onsets() -> None:
    assert OnsetPicker().feed(np.zeros(32000, np.float32)) == []
    tone = (0.3 * np.sin(2 * np.pi * 300 * np.arange(48000) / 16000)).astype(np.float32)
    assert len(OnsetPicker().feed(tone)) <= 1  # at its start


@pytest.mark.librosa
def test_onsets_agree_with_librosa_on_babble() -> None:
    import librosa

    sound = babble(20.0, seed=3)
    ours = np.array(OnsetPicker().feed(sound)) / 16000
    theirs = librosa.onset.onset_detect(y=sound, sr=16000, units="time")
    near = np.abs(ours[:, None] - theirs[None]) < 0.07
    assert near.any(1).mean() > 0.75, "onsets not in librosa's"
    assert near.any(0).mean() > 0.75, "librosa's onsets that are missed"
