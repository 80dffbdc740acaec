"""Synthetic audio for tests."""

import numpy as np
from numpy.typing import NDArray

from engine.audio.source import AudioSource


def babble(seconds: float = 2.0, rate: int = 16000, seed: int = 0) -> NDArray[np.float32]:
    """Speech-like audio: syllables of gliding harmonics and noise, with pauses."""
    rng = np.random.default_rng(seed)
    sound = 1e-4 * rng.standard_normal(int(seconds * rate))
    at = int(0.1 * rate)
    while at < len(sound):
        length = int(rng.uniform(0.08, 0.3) * rate)
        t = np.arange(min(length, len(sound) - at)) / rate
        f0 = rng.uniform(90, 220) + rng.uniform(-100, 100) * t
        phase = 2 * np.pi * np.cumsum(f0) / rate
        voice = sum(np.sin(h * phase) / h for h in range(1, 20))
        envelope = np.sin(np.pi * np.arange(len(t)) / length) ** 0.5
        sound[at : at + len(t)] += 0.1 * envelope * (voice + 0.1 * rng.standard_normal(len(t)))
        at += length + int(rng.choice([0.02, 0.05, 0.4]) * rate)
    return sound.astype(np.float32)


def sine(hertz: float, seconds: float, rate: int, peak: float = 0.5) -> NDArray[np.float32]:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype("f4")


def is_in_phase(samples: NDArray[np.float32], hertz: float, rate: int = 16000) -> bool:
    """Whether `samples`, without its ends, is `sine(hertz, ...)` to within 0.15 ms."""
    inner = slice(1000, len(samples) - 1000)
    turn = np.exp(2j * np.pi * hertz * np.arange(len(samples)) / rate)[inner]
    part = 2j * np.mean(samples[inner] * np.conj(turn))  # complex amplitude: peak and phase
    shift_s = np.angle(part) / (2 * np.pi * hertz)
    residue = samples[inner] - np.imag(part * turn)
    return bool(abs(shift_s) < 1.5e-4 and abs(abs(part) - 0.5) < 5e-3 and np.std(residue) < 2e-3)


def joined(source: AudioSource) -> NDArray[np.float32]:
    """All samples of a source in one array."""
    return np.concatenate([block.samples for block in source.blocks()])
