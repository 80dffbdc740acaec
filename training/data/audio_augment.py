"""Audio augmentation: voice, room, microphone, noise and level.

Samples are mono at 16 kHz, -1..1. Time is kept within a few milliseconds, so that the motion still
fits. `training.data.mirror` augments motion.
"""

from dataclasses import dataclass

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.motion.pose import FloatArray
from training.speech.speech import resample

_TAPS = 512
_FRAME_S, _SEARCH_S = 0.04, 0.009
_FLOOR = 1e-4


def level(samples: FloatArray) -> float:
    """Root mean square of the louder half of the 20 ms frames; nearly 0 for silence."""
    size = SAMPLE_RATE // 50
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    if not len(frames):
        return _FLOOR
    power = np.sort(np.mean(np.square(frames, dtype=np.float64), axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean())) + 1e-9


def apply_gain(samples: FloatArray, decibels: float) -> FloatArray:
    """`samples` amplified by `decibels`."""
    return np.asarray(samples * 10 ** (decibels / 20), np.float32)


def convolve(samples: FloatArray, response: np.ndarray) -> FloatArray:
    """`samples` `[S]` filtered by a causal impulse response, cut to `[S]`."""
    size = 1 << int(np.ceil(np.log2(len(samples) + len(response))))
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def minimum_phase_filter(hertz: np.ndarray, decibels: np.ndarray) -> np.ndarray:
    """Minimum-phase filter `[512]` with the given gains at ascending frequencies.

    Computed by the cepstrum. Minimum phase has the least delay and no pre-echo.
    """
    size = 4 * _TAPS
    grid = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    gain = np.interp(grid, hertz, decibels) / 20 * np.log(10)
    cepstrum = np.fft.irfft(gain)
    cepstrum[1 : size // 2] *= 2
    cepstrum[size // 2 + 1 :] = 0
    response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))
    fade = np.ones(_TAPS)
    fade[_TAPS // 2 :] = 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, _TAPS // 2))
    return response[:_TAPS] * fade


def color_response(samples: FloatArray, spread: float, rng: np.random.Generator) -> FloatArray:
    """Apply a random frequency response with a standard deviation of `spread` dB."""
    hertz = np.array([0, 100, 250, 500, 1000, 2000, 3500, 5500, 8000])
    return convolve(samples, minimum_phase_filter(hertz, rng.normal(0, spread, len(hertz))))


def band_pass(samples: FloatArray, low: float, high: float) -> FloatArray:
    """Band-pass between two frequencies (Hz), as of a telephone or a small microphone."""
    hertz = np.array([0, 0.6 * low, low, high, min(1.15 * high, 7900), 8000])
    return convolve(samples, minimum_phase_filter(hertz, np.array([-40.0, -30, 0, 0, -45, -60])))


def add_reverb(
    samples: FloatArray, decay_s: float, wet: float, rng: np.random.Generator
) -> FloatArray:
    """Add reverberation that decays by 60 dB in `decay_s`; wet: its share of the energy.

    The direct sound keeps its time.
    """
    count = int(decay_s * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    tail = rng.standard_normal(count) * 10 ** (-3 * time / decay_s)
    tail[: int(rng.uniform(0.002, 0.012) * SAMPLE_RATE)] = 0  # distance of the nearest wall
    # Walls absorb more of the high frequencies.
    tail = np.convolve(tail, [0.5, 0.35, 0.15])[:count]
    tail *= np.sqrt(wet / max(1e-12, float(np.square(tail).sum())))
    tail[0] = np.sqrt(1 - wet)
    return convolve(samples, tail)


def colored_noise(count: int, slope: float, rng: np.random.Generator) -> FloatArray:
    """Noise `[count]` of unit deviation; its spectrum falls by `slope` dB per octave."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 40) / 1000)
    shaped = np.fft.irfft(spectrum * 10 ** (-slope * octaves / 20), count)
    return (shaped / max(float(shaped.std()), 1e-9)).astype(np.float32)


def add_noise(samples: FloatArray, decibels: float, rng: np.random.Generator) -> FloatArray:
    """Add noise, partly with mains hum, `decibels` below the speech; its level varies slowly.

    Silence gets noise as for speech at -26 dB.
    """
    loud = max(level(samples), 0.05)
    sound = colored_noise(len(samples), float(rng.uniform(0, 6)), rng)
    if rng.random() < 0.25:
        time = np.arange(len(samples)) / SAMPLE_RATE
        mains = rng.choice([50.0, 60.0])
        hum = sum(np.sin(2 * np.pi * mains * k * time + rng.uniform(0, 6)) / k for k in (1, 2, 3))
        sound = 0.6 * sound + 0.8 * hum
    knots = 2 + len(samples) // SAMPLE_RATE
    slow = np.interp(
        np.arange(len(samples)), np.linspace(0, len(samples), knots), rng.normal(0, 2.5, knots)
    )
    swell = 10 ** (slow / 20)
    return np.asarray(samples + loud * 10 ** (-decibels / 20) * swell * sound, np.float32)


def overdrive(samples: FloatArray, drive: float) -> FloatArray:
    """Soft-clip the peaks, as an overdriven microphone does, at the same level."""
    peak = max(float(np.abs(samples).max()), _FLOOR)
    result = np.tanh(samples / peak * drive) / np.tanh(drive) * peak
    return np.asarray(result * (level(samples) / level(result)), np.float32)


def time_stretch(samples: FloatArray, count: int) -> FloatArray:
    """`samples` resized to `count` at the same pitch, by overlap-add of similar pieces (WSOLA)."""
    if len(samples) < 3 * int(_FRAME_S * SAMPLE_RATE):
        return resample(samples, count)
    frame = int(_FRAME_S * SAMPLE_RATE)
    hop, search = frame // 2, int(_SEARCH_S * SAMPLE_RATE)
    window = np.hanning(frame + 1)[:frame]
    padded = np.pad(samples.astype(np.float64), (frame, 2 * frame + search))
    result = np.zeros(count + 3 * frame)
    weight = np.full(count + 3 * frame, 1e-6)
    target = padded[frame : 2 * frame]
    for at in range(0, count + frame, hop):
        middle = frame + round((at - hop) / count * len(samples))
        first = max(0, min(middle - search, len(padded) - frame - 2 * search))
        region = padded[first : first + frame + 2 * search]
        fit = np.correlate(region[::2], target[::2], mode="valid")
        best = first + 2 * int(fit.argmax())
        result[at : at + frame] += window * padded[best : best + frame]
        weight[at : at + frame] += window
        target = padded[best + hop : best + hop + frame]
        if len(target) < frame:
            break
    return (result / weight)[hop : hop + count].astype(np.float32)


def shift_voice(samples: FloatArray, factor: float) -> FloatArray:
    """Raise pitch and formants by `factor`; timing is kept."""
    higher = resample(samples, round(len(samples) / factor))
    return time_stretch(higher, len(samples))


@dataclass(frozen=True)
class AudioAugment:
    """Probabilities and ranges of the augmentations.

    Attributes:
        voice_chance: probability of another voice.
        voice_shift: largest absolute logarithm of the factor of pitch and formants.
        reverb_chance: probability of reverberation.
        decay_s: time in which reverberation decays by 60 dB, from and to, seconds.
        wet: share of reverberation in the energy, from and to.
        response_db: standard deviation of the microphone's frequency response, dB.
        band_chance: probability of a band-pass.
        noise_chance: probability of noise.
        noise_db: level of the noise below the speech, from and to, dB.
        overdrive_chance: probability of overdrive.
        level_dbfs: level of the result, from and to, dB of full scale.

    """

    voice_chance: float = 0.4
    voice_shift: float = 0.16
    reverb_chance: float = 0.5
    decay_s: tuple[float, float] = (0.1, 0.7)
    wet: tuple[float, float] = (0.05, 0.5)
    response_db: float = 3.5
    band_chance: float = 0.3
    noise_chance: float = 0.85
    noise_db: tuple[float, float] = (12.0, 50.0)
    overdrive_chance: float = 0.2
    level_dbfs: tuple[float, float] = (-38.0, -14.0)


DEFAULT = AudioAugment()


def augment(
    samples: FloatArray, rng: np.random.Generator, config: AudioAugment = DEFAULT
) -> FloatArray:
    """`samples` `[S]` with another voice, room, microphone, noise and level; timing is kept."""
    result = np.asarray(samples, np.float32)
    silent = not np.abs(result).max(initial=0.0) > _FLOOR
    if not silent and rng.random() < config.voice_chance:
        result = shift_voice(
            result, float(np.exp(rng.uniform(-config.voice_shift, config.voice_shift)))
        )
    if rng.random() < config.reverb_chance:
        decay_s, wet = float(rng.uniform(*config.decay_s)), float(rng.uniform(*config.wet))
        result = add_reverb(result, decay_s, wet, rng)
    if rng.random() < config.overdrive_chance:
        result = overdrive(result, float(rng.uniform(1.0, 4.0)))
    if rng.random() < config.noise_chance:
        result = add_noise(result, float(rng.uniform(*config.noise_db)), rng)
    result = color_response(result, config.response_db, rng)
    if rng.random() < config.band_chance:
        result = band_pass(result, float(rng.uniform(80, 300)), float(rng.uniform(3300, 7000)))
    present = level(result) if not silent else 0.05
    target = float(rng.uniform(*config.level_dbfs))
    result = apply_gain(result, np.clip(target - 20 * np.log10(present), -60, 40))
    return np.clip(result, -1, 1).astype(np.float32)
