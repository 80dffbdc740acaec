"""Audio augmentation: effect of each step, and timing."""

import numpy as np
import pytest

from engine.audio import SAMPLE_RATE
from training.data import audio_augment as augmentation
from training.data.audio_augment import (
    AudioAugment,
    add_noise,
    add_reverb,
    apply_gain,
    augment,
    band_pass,
    color_response,
    colored_noise,
    level,
    minimum_phase_filter,
    overdrive,
    shift_voice,
    time_stretch,
)

TIME = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE


def bursts(hertz: float = 200.0) -> np.ndarray:
    """Two tones of 0.3 s at 0.5 and 1.2 s."""
    sounding = ((TIME >= 0.5) & (TIME < 0.8)) | ((TIME >= 1.2) & (TIME < 1.5))
    return (0.3 * np.sin(2 * np.pi * hertz * TIME) * sounding).astype(np.float32)


def onset(samples: np.ndarray, after: float) -> float:
    first = int(after * SAMPLE_RATE)
    envelope = np.abs(samples[first : first + SAMPLE_RATE // 2])
    return after + float(np.argmax(envelope > 0.3 * envelope.max())) / SAMPLE_RATE


def pitch(samples: np.ndarray) -> float:
    piece = samples[int(0.55 * SAMPLE_RATE) : int(0.75 * SAMPLE_RATE)]
    return float(
        np.abs(np.fft.rfft(piece * np.hanning(len(piece)))).argmax() * SAMPLE_RATE / len(piece)
    )


def test_gain_and_level() -> None:
    assert level(apply_gain(bursts(), 6.0)) == pytest.approx(2 * level(bursts()), rel=0.01)
    assert level(np.zeros(10, np.float32)) < 1e-3


def test_filter_has_its_gains_and_minimum_delay() -> None:
    response = minimum_phase_filter(
        np.array([0, 1000, 2000, 8000]), np.array([0.0, 0.0, -20.0, -20.0])
    )
    spectrum = 20 * np.log10(np.abs(np.fft.rfft(response, 4096)))
    at = [round(f * 4096 / SAMPLE_RATE) for f in (500, 3000)]
    assert spectrum[at] == pytest.approx([0.0, -20.0], abs=1.0)
    assert np.abs(response[:40]).max() > 10 * np.abs(response[100:]).max()


def test_band_pass_keeps_the_middle() -> None:
    def kept(hertz: float) -> float:
        tone = np.sin(2 * np.pi * hertz * TIME).astype(np.float32)
        return level(band_pass(tone, 300, 3400)) / level(tone)

    assert kept(1000) == pytest.approx(1.0, abs=0.1)
    assert kept(60) < 0.1
    assert kept(5000) < 0.05


def test_reverb_follows_the_sound() -> None:
    made = add_reverb(bursts(), 0.5, 0.4, np.random.default_rng(0))
    assert np.abs(made[: int(0.5 * SAMPLE_RATE)]).max() < 1e-4
    gap = slice(int(0.85 * SAMPLE_RATE), int(1.1 * SAMPLE_RATE))
    assert np.abs(made[gap]).max() > 0.01 > np.abs(bursts()[gap]).max()
    assert onset(made, 0.4) == pytest.approx(0.5, abs=0.01)


def test_noise_level_is_relative_to_the_speech() -> None:
    rng = np.random.default_rng(0)
    made = add_noise(bursts(), 20.0, rng)
    hiss = (made - bursts()).std()
    assert 20 * np.log10(level(bursts()) / hiss) == pytest.approx(20, abs=4)
    pink = colored_noise(SAMPLE_RATE, 3.0, rng)
    assert pink.std() == pytest.approx(1.0, abs=0.01)
    halves = np.abs(np.fft.rfft(pink))
    assert halves[200:1000].mean() > 1.5 * halves[4000:].mean()


def test_overdrive_clips_at_the_same_level() -> None:
    made = overdrive(bursts(), 4.0)
    assert level(made) == pytest.approx(level(bursts()), rel=0.02)
    assert np.abs(made).max() < 0.97 * np.abs(bursts()).max()


def test_time_stretch_keeps_the_pitch() -> None:
    made = time_stretch(bursts(), int(2.4 * SAMPLE_RATE))
    assert len(made) == int(2.4 * SAMPLE_RATE)
    piece = made[int(0.65 * SAMPLE_RATE) : int(0.9 * SAMPLE_RATE)]
    peak = np.abs(np.fft.rfft(piece * np.hanning(len(piece)))).argmax() * SAMPLE_RATE / len(piece)
    assert peak == pytest.approx(200, abs=5)
    assert len(time_stretch(np.zeros(100, np.float32), 120)) == 120


@pytest.mark.parametrize("factor", [0.87, 1.15])
def test_voice_shift_keeps_the_timing(factor: float) -> None:
    made = shift_voice(bursts(), factor)
    assert len(made) == len(bursts())
    assert pitch(made) == pytest.approx(200 * factor, abs=6)
    for start in (0.5, 1.2):
        assert onset(made, start - 0.1) == pytest.approx(start, abs=0.025)


def test_microphone_response_keeps_the_timing() -> None:
    made = color_response(bursts(), 4.0, np.random.default_rng(1))
    assert onset(made, 0.4) == pytest.approx(0.5, abs=0.005)
    assert level(made) != pytest.approx(level(bursts()), rel=0.02)


def test_augmentation_keeps_timing_and_range_and_is_seeded() -> None:
    found = [augment(bursts(), np.random.default_rng(seed)) for seed in range(12)]
    assert all(sound.dtype == np.float32 and len(sound) == len(TIME) for sound in found)
    assert max(np.abs(sound).max() for sound in found) <= 1.0
    assert np.std([20 * np.log10(level(sound)) for sound in found]) > 3
    quiet = AudioAugment(noise_chance=0.0, reverb_chance=0.0)
    for seed in range(6):
        sound = augment(bursts(), np.random.default_rng(seed), quiet)
        assert onset(sound, 0.4) == pytest.approx(0.5, abs=0.025)
    assert np.array_equal(found[3], augment(bursts(), np.random.default_rng(3)))


def test_silence_stays_quiet() -> None:
    for seed in range(8):
        made = augment(np.zeros(SAMPLE_RATE, np.float32), np.random.default_rng(seed))
        assert np.isfinite(made).all()
        assert level(made) < 0.2
    assert augmentation.DEFAULT.noise_chance < 1
