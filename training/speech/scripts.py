"""Speeches of half a minute: synthetic or recorded voices, with pauses between sentences."""

from collections.abc import Sequence

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.motion.pose import FloatArray
from training.speech.sentences import draw_text
from training.speech.speech import Phone, Speech, SpokenWord
from training.speech.synthesis import Voice, synthesize
from training.speech.utterances import RecordedUtterance, draw_utterances

TRAIN_VOICES = {
    "flite:slt": 5,
    "flite:rms": 5,
    "flite:kal16": 3,
    "espeak:en-us": 1,
    "espeak:en-us+f3": 1,
    "espeak:en-us+m3": 1,
    "espeak:en-gb-x-rp+f2": 1,
    "espeak:en-gb-scotland+m1": 1,
}
TEST_VOICES = {"flite:awb": 2, "flite:slt": 1, "flite:rms": 1, "espeak:en-us+m7": 1}
"""Voices and their weights; flite:awb and espeak:en-us+m7 are not used in training."""

_FRAME = SAMPLE_RATE // 50
_QUIET = 0.1  # share of the quietest frames that estimate the background noise


def pause(rng: np.random.Generator) -> float:
    """Draw a pause between sentences, seconds: mostly short, sometimes long enough to idle."""
    kind = rng.random()
    if kind < 0.76:
        return float(rng.uniform(0.2, 0.95))
    return float(rng.uniform(0.95, 2.0) if kind < 0.89 else rng.uniform(3.0, 6.0))


def _normalize_level(samples: FloatArray, decibels: float) -> FloatArray:
    loud = np.sqrt(np.mean(np.square(samples[np.abs(samples) > 0.01]))) if len(samples) else 1.0
    return np.asarray(samples * (10 ** (decibels / 20) / max(float(loud), 1e-3)), np.float32)


def background(samples: FloatArray) -> float:
    """Background level of a recording: RMS of its quietest frames."""
    whole = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = np.sort(np.sqrt(np.mean(np.square(whole), axis=1))) if len(whole) else np.zeros(1)
    return float(levels[: max(1, int(_QUIET * len(levels)))].mean())


def joined(pieces: Sequence[Speech], rng: np.random.Generator) -> Speech:
    """Join pieces at one loudness, with pauses before, between and after them.

    Pauses contain noise at the background level of the pieces.
    """
    sounds: list[FloatArray] = []
    phones: list[Phone] = []
    words: list[SpokenWord] = []
    at = 0.0
    level = float(rng.uniform(-24, -17))
    for said in pieces:
        gap = round(pause(rng) * SAMPLE_RATE)
        sound = _normalize_level(said.samples, level + rng.uniform(-2, 2))
        hiss = background(sound)
        sounds += [(hiss * rng.standard_normal(gap)).astype(np.float32), sound]
        moved = said.shifted(at + gap / SAMPLE_RATE)
        phones += [Phone("pau", at, at + gap / SAMPLE_RATE), *moved.phones]
        words += moved.words
        at += (gap + len(said.samples)) / SAMPLE_RATE
    tail = round(rng.uniform(1.0, 3.0) * SAMPLE_RATE)
    sounds.append((hiss * rng.standard_normal(tail)).astype(np.float32))
    samples = np.clip(np.concatenate(sounds), -0.99, 0.99).astype(np.float32)
    return Speech(samples, tuple(phones), tuple(words))


def speak(texts: Sequence[str], voice: Voice, rng: np.random.Generator) -> Speech:
    """Synthesise all texts by one voice."""
    return joined([synthesize(text, voice) for text in texts], rng)


def _voice(test: bool, rng: np.random.Generator) -> Voice:
    voices = TEST_VOICES if test else TRAIN_VOICES
    weights = np.array(list(voices.values()), float)
    name = str(rng.choice(list(voices), p=weights / weights.sum()))
    return Voice(name, float(rng.uniform(0.88, 1.18)), float(rng.uniform(0.86, 1.18)))


def synthetic(sentences: Sequence[str], split: str, rng: np.random.Generator) -> tuple[str, Speech]:
    """Synthesise 20 to 40 seconds of sentences of `split`; returns the voice's name and speech."""
    test = split == "test"
    voice = _voice(test, rng)
    texts: list[str] = []
    while sum(len(t) for t in texts) < rng.uniform(220, 440):
        texts.append(draw_text(sentences, test, rng))
    return voice.name, speak(texts, voice, rng)


def recorded(
    utterances: Sequence[RecordedUtterance], split: str, rng: np.random.Generator
) -> tuple[str, Speech]:
    """Draw 20 to 35 seconds of a recorded reader, pitch-shifted; returns reader and speech."""
    reader, pieces = draw_utterances(utterances, split, float(rng.uniform(16, 30)), rng)
    factor = float(rng.uniform(0.92, 1.1))
    return reader, joined([piece.pitched(factor) for piece in pieces], rng)
