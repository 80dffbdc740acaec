"""Lids, brows, eyes and mood; the mouth in step with the sound and shut in silence."""

import numpy as np
import pytest

from engine.motion.face_basis import ARKIT_51
from training.composer.face import DELAY_S, JAW_RADIANS, FaceCues, face_track, force_of, jaw_angle
from training.composer.gaze import Gaze
from training.composer.plan import Stress
from training.composer.style import LIVELY
from training.speech.speech import Phone

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


def gaze(frames: int, yaw: float = 0.0, down: float = 0.0) -> Gaze:
    return Gaze(np.zeros((frames, 2)), np.tile([yaw, down], (frames, 1)))


def track(
    seed: int = 0,
    phones: tuple[Phone, ...] = PHONES,
    times: np.ndarray = TIMES,
    stresses: tuple[Stress, ...] = (Stress(1.08, 1.0, "bah"),),
    accents: tuple[tuple[float, float], ...] = (),
    look: Gaze | None = None,
) -> dict[str, np.ndarray]:
    cues = FaceCues(phones, [1.0] * len(phones), stresses, look or gaze(len(times)), accents)
    face = face_track(cues, times, LIVELY, np.random.default_rng(seed))
    assert face.dtype == np.float32
    assert 0.0 <= face.min() <= face.max() <= 1.0
    return {name: face[:, i] for i, name in enumerate(ARKIT_51.coefficients)}


def test_the_mouth_is_exactly_closed_in_silence() -> None:
    made = track()
    quiet = (TIMES < 0.9) | (TIMES > 2.0)
    for name in OPENING:
        assert (made[name][quiet] == 0.0).all(), name


def test_the_mouth_moves_at_most_50_ms_before_the_sound() -> None:
    made = track()
    for name in ("jawOpen", "mouthPressLeft"):
        assert made[name][TIMES <= 1.0 - 0.05].max() == 0.0
    assert made["jawOpen"][round((1.24 + DELAY_S) * 30)] > 0.4


def test_blinks_close_fully_over_several_frames_at_a_human_rate() -> None:
    minute = np.arange(1800) / 30
    counts = []
    for seed in range(6):
        blink = track(seed, (Phone("pau", 0.0, 60.0),), minute, ())["eyeBlinkLeft"]
        shut = np.flatnonzero(np.diff((blink > 0.5).astype(int)) == 1)
        counts.append(len(shut))
        for first in shut[(shut > 6) & (shut < 1780)]:
            around = blink[first - 6 : first + 15]
            assert around.max() > 0.95
            assert (around > 0.9).sum() >= 2  # stays shut
            assert ((around > 0.02) & (np.gradient(around) > 0.05)).sum() >= 3  # closes slowly
    assert 8 <= np.mean(counts) <= 26


def test_brows_rise_with_a_stress_and_as_words_ask() -> None:
    plain = np.mean([track(seed, stresses=())["browInnerUp"][36] for seed in range(12)])
    stressed = np.mean([track(seed)["browInnerUp"][36] for seed in range(12)])
    assert stressed > plain + 0.15
    asked = [
        np.mean([track(s, stresses=(), accents=((1.0, b),))["browDownLeft"][38] for s in range(8)])
        for b in (0.0, -0.5)
    ]
    assert asked[1] > asked[0] + 0.1


def test_eyes_look_where_the_gaze_is() -> None:
    left = track(look=gaze(90, yaw=0.3))
    assert left["eyeLookOutLeft"].max() == pytest.approx(0.5)
    assert left["eyeLookInRight"].max() == pytest.approx(0.5)
    assert left["eyeLookInLeft"].max() == 0.0
    down = track(look=gaze(90, down=0.3))
    assert down["eyeLookDownLeft"].min() == pytest.approx(0.5)
    assert down["eyeBlinkLeft"].min() == pytest.approx(0.25)


def test_loud_and_stressed_vowels_are_spoken_with_more_force() -> None:
    phones = (Phone("aa", 0, 1), Phone("t", 1, 2), Phone("iy", 2, 3), Phone("ae", 3, 4))
    force = force_of(phones, [-20.0, -40.0, -20.0, -14.0], [0.0])
    assert force[0] > force[2]
    assert force[3] > force[2]
    assert force_of((), (), ()) == []


def test_jaw_joint_goes_with_the_coefficient() -> None:
    face = np.zeros((2, 51), np.float32)
    face[1, ARKIT_51.coefficients.index("jawOpen")] = 0.5
    assert np.allclose(jaw_angle(face), [0.0, 0.5 * JAW_RADIANS])
