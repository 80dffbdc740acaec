"""The same speech from another throat, in another room, through another microphone.

Time stays where it was, within a few milliseconds, so that motion still fits. Samples are mono at
16 kHz, -1..1. `training.data.mirror` does the same for motion.
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
    """Root mean square of the loud half of a sound's 20 ms frames; tiny for silence."""
    size = SAMPLE_RATE // 50
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    if not len(frames):
        return _FLOOR
    power = np.sort(np.mean(np.square(frames, dtype=np.float64), axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean())) + 1e-9


def louder(samples: FloatArray, decibels: float) -> FloatArray:
    """Gain in dB."""
    return np.asarray(samples * 10 ** (decibels / 20), np.float32)


def convolved(samples: FloatArray, response: np.ndarray) -> FloatArray:
    """`samples` `[S]` through a causal filter, cut to `[S]`."""
    size = 1 << int(np.ceil(np.log2(len(samples) + len(response))))
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def filter_of(hertz: np.ndarray, decibels: np.ndarray) -> np.ndarray:
    """A causal filter `[512]` with gains at ascending frequencies, of the least possible delay.

    Minimum phase by the cepstrum: nothing sounds before it was said.
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


def coloured(samples: FloatArray, spread: float, rng: np.random.Generator) -> FloatArray:
    """Through a microphone whose response wanders by `spread` dB."""
    hertz = np.array([0, 100, 250, 500, 1000, 2000, 3500, 5500, 8000])
    return convolved(samples, filter_of(hertz, rng.normal(0, spread, len(hertz))))


def band_limited(samples: FloatArray, low: float, high: float) -> FloatArray:
    """Only what lies between two frequencies (Hz), as through a telephone or a small microphone."""
    hertz = np.array([0, 0.6 * low, low, high, min(1.15 * high, 7900), 8000])
    return convolved(samples, filter_of(hertz, np.array([-40.0, -30, 0, 0, -45, -60])))


def in_room(
    samples: FloatArray, decay_s: float, wet: float, rng: np.random.Generator
) -> FloatArray:
    """With echoes that fall by 60 dB in `decay_s`; wet: their share of the energy.

    The direct sound keeps its time and comes first.
    """
    count = int(decay_s * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    tail = rng.standard_normal(count) * 10 ** (-3 * time / decay_s)
    tail[: int(rng.uniform(0.002, 0.012) * SAMPLE_RATE)] = 0  # the nearest wall
    # Walls take more of the high frequencies.
    tail = np.convolve(tail, [0.5, 0.35, 0.15])[:count]
    tail *= np.sqrt(wet / max(1e-12, float(np.square(tail).sum())))
    tail[0] = np.sqrt(1 - wet)
    return convolved(samples, tail)


def noise(count: int, slope: float, rng: np.random.Generator) -> FloatArray:
    """Noise `[count]` of unit level whose spectrum falls by `slope` dB an octave."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 40) / 1000)
    shaped = np.fft.irfft(spectrum * 10 ** (-slope * octaves / 20), count)
    return (shaped / max(float(shaped.std()), 1e-9)).astype(np.float32)


def noisy(samples: FloatArray, decibels: float, rng: np.random.Generator) -> FloatArray:
    """With noise `decibels` below the speech: hiss, rumble, hum of the mains; now louder, now less.

    Silence gets noise as if somebody had spoken at -26 dB.
    """
    loud = max(level(samples), 0.05)
    sound = noise(len(samples), float(rng.uniform(0, 6)), rng)
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


def saturated(samples: FloatArray, drive: float) -> FloatArray:
    """As an overdriven microphone gives it: peaks are rounded off, at the same level."""
    peak = max(float(np.abs(samples).max()), _FLOOR)
    made = np.tanh(samples / peak * drive) / np.tanh(drive) * peak
    return np.asarray(made * (level(samples) / level(made)), np.float32)


def stretched(samples: FloatArray, count: int) -> FloatArray:
    """`samples` made `count` long without changing their pitch (overlap-add of similar pieces)."""
    if len(samples) < 3 * int(_FRAME_S * SAMPLE_RATE):
        return resample(samples, count)
    frame = int(_FRAME_S * SAMPLE_RATE)
    hop, search = frame // 2, int(_SEARCH_S * SAMPLE_RATE)
    window = np.hanning(frame + 1)[:frame]
    padded = np.pad(samples.astype(np.float64), (frame, 2 * frame + search))
    made = np.zeros(count + 3 * frame)
    weight = np.full(count + 3 * frame, 1e-6)
    wanted = padded[frame : 2 * frame]
    for at in range(0, count + frame, hop):
        middle = frame + round((at - hop) / count * len(samples))
        first = max(0, min(middle - search, len(padded) - frame - 2 * search))
        region = padded[first : first + frame + 2 * search]
        fit = np.correlate(region[::2], wanted[::2], mode="valid")
        best = first + 2 * int(fit.argmax())
        made[at : at + frame] += window * padded[best : best + frame]
        weight[at : at + frame] += window
        wanted = padded[best + hop : best + hop + frame]
        if len(wanted) < frame:
            break
    return (made / weight)[hop : hop + count].astype(np.float32)


def other_throat(samples: FloatArray, factor: float) -> FloatArray:
    """Pitch and formants `factor` times higher, words at the same times."""
    higher = resample(samples, round(len(samples) / factor))
    return stretched(higher, len(samples))


@dataclass(frozen=True)
class Wear:
    """How far sound may be changed; chances are of each change being made at all.

    throat: largest log of the factor. decay_s, wet: of rooms. colour: dB. noise: dB below speech.
    level: dB of full scale at which speech is heard.
    """

    throat_chance: float = 0.4
    throat: float = 0.16
    room_chance: float = 0.5
    decay_s: tuple[float, float] = (0.1, 0.7)
    wet: tuple[float, float] = (0.05, 0.5)
    colour: float = 3.5
    band_chance: float = 0.3
    noise_chance: float = 0.85
    noise: tuple[float, float] = (12.0, 50.0)
    drive_chance: float = 0.2
    level: tuple[float, float] = (-38.0, -14.0)


WEAR = Wear()


def worn(samples: FloatArray, rng: np.random.Generator, wear: Wear = WEAR) -> FloatArray:
    """`samples` `[S]` as somebody else would have said it somewhere else; time is kept."""
    made = np.asarray(samples, np.float32)
    silent = not np.abs(made).max(initial=0.0) > _FLOOR
    if not silent and rng.random() < wear.throat_chance:
        made = other_throat(made, float(np.exp(rng.uniform(-wear.throat, wear.throat))))
    if rng.random() < wear.room_chance:
        made = in_room(made, float(rng.uniform(*wear.decay_s)), float(rng.uniform(*wear.wet)), rng)
    if rng.random() < wear.drive_chance:
        made = saturated(made, float(rng.uniform(1.0, 4.0)))
    if rng.random() < wear.noise_chance:
        made = noisy(made, float(rng.uniform(*wear.noise)), rng)
    made = coloured(made, wear.colour, rng)
    if rng.random() < wear.band_chance:
        made = band_limited(made, float(rng.uniform(80, 300)), float(rng.uniform(3300, 7000)))
    loud = level(made) if not silent else 0.05
    wanted = float(rng.uniform(*wear.level))
    made = louder(made, np.clip(wanted - 20 * np.log10(loud), -60, 40))
    return np.clip(made, -1, 1).astype(np.float32)
