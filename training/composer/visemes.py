"""Visemes: mouth coefficients from phones, with coarticulation and bilabial closure.

Each phone has a target shape and a dominance for jaw and lips (Cohen and Massaro, 1993): a vowel
dominates both, a t the jaw but hardly the lips, which then keep the shape of the neighbours.
"""

from collections.abc import Sequence

import numpy as np

from engine.motion.face_basis import ARKIT_51
from engine.motion.pose import FloatArray
from training.speech.phones import CLOSED, SHAPES, VOWELS
from training.speech.speech import Phone

RATE = 240
"""Sampling rate of this module, Hz."""
_FLOW_S = 0.03  # standard deviation of the blend between shapes
_CLOSURE_S, _CLOSED_LEAST_S = 0.016, 0.05
_INDEX = {name: i for i, name in enumerate(ARKIT_51.coefficients)}
_JAW = _INDEX["jawOpen"]

_DOMINANCE: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("t", "d", "n", "s", "z", "th", "dh", "dx", "nx", "en"), (0.8, 0.2)),
    **dict.fromkeys(("k", "g", "ng", "hh"), (0.4, 0.15)),
    **dict.fromkeys(("l", "el", "y"), (0.5, 0.5)),
    **dict.fromkeys(("sh", "zh", "ch", "jh", "r", "w", "f", "v"), (0.8, 1.2)),
    **dict.fromkeys(CLOSED, (0.6, 0.8)),
    "pau": (0.5, 0.5),
}
"""Dominance of a phone for jaw and lips; (1, 1) for vowels and phones not listed."""

_OPENING = (
    *("jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthFunnel"),
    *("mouthUpperUpLeft", "mouthUpperUpRight"),
)


def _vector(shape: dict[str, float]) -> np.ndarray:
    vector = np.zeros(ARKIT_51.width)
    for name, value in shape.items():
        vector[_INDEX[name]] = value
    return vector


_START = {name: _vector(pair[0]) for name, pair in SHAPES.items()}
_END = {name: _vector(pair[1]) for name, pair in SHAPES.items()}


def _gaussian(x: np.ndarray, deviation_s: float) -> np.ndarray:
    """Gaussian filter of `[n, C]`, truncated at 3 standard deviations."""
    reach = int(3 * deviation_s * RATE)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (deviation_s * RATE)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(x, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], 1)


def mouth(phones: Sequence[Phone], force: Sequence[float], count: int) -> FloatArray:
    """Mouth coefficients `[count, 51]` at RATE; force: articulation of each phone, 1 = usual."""
    wanted = np.zeros((count, ARKIT_51.width))
    care = np.full((count, ARKIT_51.width), 0.5)
    closure = np.zeros((count, 1))
    for phone, strength in zip(phones, force, strict=True):
        first, last = round(phone.start * RATE), min(count, round(phone.end * RATE))
        if last <= first:
            continue
        along = ((np.arange(first, last) - first) / (last - first))[:, None]
        shape = (1 - along) * _START[phone.name] + along * _END[phone.name]
        wanted[first:last] = shape * (strength if phone.name in VOWELS else 1.0)
        jaw, lips = _DOMINANCE.get(phone.name, (1.0, 1.0))
        care[first:last] = lips
        care[first:last, _JAW] = jaw
        # Lips need time to meet: a very short stop is lengthened to close them.
        if phone.name in CLOSED:
            closure[first : max(last, first + int(_CLOSED_LEAST_S * RATE))] = 1.0
    shapes = _gaussian(care * wanted, _FLOW_S) / _gaussian(care, _FLOW_S)
    closed = np.clip(1.5 * _gaussian(closure, _CLOSURE_S), 0.0, 1.0)
    for name in _OPENING:
        shapes[:, _INDEX[name]] *= 1.0 - closed[:, 0]
    return shapes
