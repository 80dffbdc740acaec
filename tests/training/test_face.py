"""Mouth shapes in time: closed where they must be, open on vowels, late rather than early."""

import numpy as np

from engine.face import ARKIT_51
from training.face import DELAY_S, JAW_RADIANS, face_track, jaw_angle
from training.plan import Stress
from training.speech import Phone

TIMES = np.arange(90) / 30
PHONES = (
    Phone("pau", 0.0, 1.0),
    Phone("b", 1.0, 1.08),
    Phone("aa", 1.08, 1.4),
    Phone("m", 1.4, 1.5),
    Phone("uw", 1.5, 1.8),
    Phone("pau", 1.8, 3.0),
)
OPENING = ("jawOpen", "mouthFunnel", "mouthPucker", "mouthLowerDownLeft", "mouthClose")


def track(seed: int = 0) -> dict[str, np.ndarray]:
    face = face_track(PHONES, [Stress(1.08, 1.0, "bah")], TIMES, np.random.default_rng(seed))
    assert face.dtype == np.float32
    assert 0.0 <= face.min() <= face.max() <= 1.0
    return {name: face[:, i] for i, name in enumerate(ARKIT_51.coefficients)}


def test_the_mouth_is_exactly_closed_in_silence() -> None:
    made = track()
    quiet = (TIMES < 0.9) | (TIMES > 2.0)
    for name in OPENING:
        assert (made[name][quiet] == 0.0).all(), name


def test_vowels_open_lips_meet_and_lips_round() -> None:
    made = track()
    at = {t: round((t + DELAY_S) * 30) for t in (1.04, 1.24, 1.45, 1.7)}
    assert made["jawOpen"][at[1.24]] > 0.4
    assert made["jawOpen"][at[1.45]] < 0.05
    assert made["mouthPressLeft"][at[1.45]] > 0.2
    assert made["mouthPucker"][at[1.7]] > 0.4 > made["mouthPucker"][at[1.24]]


def test_nothing_moves_more_than_50_ms_before_it_is_heard() -> None:
    assert track()["jawOpen"][TIMES <= 1.0 - 0.05].max() == 0.0
    assert track()["mouthPressLeft"][TIMES <= 1.0 - 0.05].max() == 0.0


def test_brows_rise_with_a_stress_and_lids_blink() -> None:
    made = track()
    assert made["browInnerUp"][36] > made["browInnerUp"][20] + 0.2
    long = face_track((Phone("pau", 0.0, 30.0),), [], np.arange(900) / 30, np.random.default_rng(1))
    blink = long[:, ARKIT_51.coefficients.index("eyeBlinkLeft")]
    assert 4 <= (np.diff((blink > 0.5).astype(int)) == 1).sum() <= 16


def test_jaw_joint_goes_with_the_coefficient() -> None:
    face = np.zeros((2, 51), np.float32)
    face[1, ARKIT_51.coefficients.index("jawOpen")] = 0.5
    assert np.allclose(jaw_angle(face), [0.0, 0.5 * JAW_RADIANS])
