"""Visemes: bilabial closure, open vowels, coarticulation."""

import numpy as np
import pytest

from engine.motion.face_basis import ARKIT_51
from training.composer.visemes import RATE, mouth
from training.speech.speech import Phone

PHONES = (
    Phone("pau", 0.0, 1.0),
    Phone("b", 1.0, 1.08),
    Phone("aa", 1.08, 1.4),
    Phone("m", 1.4, 1.5),
    Phone("uw", 1.5, 1.8),
    Phone("pau", 1.8, 3.0),
)


def track(phones: tuple[Phone, ...] = PHONES, force: float = 1.0) -> dict[str, np.ndarray]:
    made = mouth(phones, [force] * len(phones), 3 * RATE)
    return {name: made[:, i] for i, name in enumerate(ARKIT_51.coefficients)}


def at(seconds: float) -> int:
    return round(seconds * RATE)


def test_vowels_open_lips_meet_and_lips_round() -> None:
    made = track()
    assert made["jawOpen"][at(1.24)] > 0.4
    assert made["jawOpen"][at(1.45)] < 0.05
    assert made["mouthPressLeft"][at(1.45)] > 0.2
    assert made["mouthPucker"][at(1.7)] > 0.4 > made["mouthPucker"][at(1.24)]


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1])
def test_even_the_shortest_closure_closes(seconds: float) -> None:
    phones = (
        Phone("aa", 0.0, 1.0),
        Phone("p", 1.0, 1.0 + seconds),
        Phone("aa", 1.0 + seconds, 2.0),
        Phone("pau", 2.0, 3.0),
    )
    jaw = track(phones)["jawOpen"]
    assert jaw[at(1.0) : at(1.1)].min() < 0.03
    assert jaw[at(0.8)] > 0.4


def test_nothing_moves_long_before_its_phone() -> None:
    made = track()
    for name in ("jawOpen", "mouthPressLeft", "mouthFunnel"):
        assert made[name][: at(0.9)].max() == 0.0
        assert made[name][at(1.95) :].max() == 0.0


def test_lips_of_a_t_keep_the_shape_around_it() -> None:
    around_u = track((Phone("uw", 0.0, 1.0), Phone("t", 1.0, 1.08), Phone("uw", 1.08, 2.0),
                      Phone("pau", 2.0, 3.0)))  # fmt: skip
    around_i = track((Phone("iy", 0.0, 1.0), Phone("t", 1.0, 1.08), Phone("iy", 1.08, 2.0),
                      Phone("pau", 2.0, 3.0)))  # fmt: skip
    assert around_u["mouthPucker"][at(1.04)] > 0.25 > around_i["mouthPucker"][at(1.04)]


def test_force_opens_vowels_wider() -> None:
    assert track(force=1.3)["jawOpen"][at(1.24)] > 1.2 * track()["jawOpen"][at(1.24)]
