"""Statistics of hand-made motion: swinging arms, steps, shifts, pauses."""

import numpy as np
import pytest

from bench.quality.motion_statistics import (
    GROUPS,
    Sample,
    angular_speed,
    hip_speed,
    holds,
    measures,
    spread,
    strokes_in_speech,
)
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp, identity
from engine.text.words import TimedWord
from tests.support.figures import hanging

SECONDS, FPS = 10, 30
TIMES = np.arange(SECONDS * FPS) / FPS
WORDS = (TimedWord("one", 0.1, 4.0), TimedWord("two", 4.5, 7.0))


def motion(rotations: np.ndarray, way: np.ndarray | None = None) -> Motion:
    frames = len(rotations)
    travel = np.zeros((frames, 3), np.float32) if way is None else way.astype(np.float32)
    contacts, face = np.ones((frames, 4), np.float32), np.zeros((frames, 51), np.float32)
    return Motion(PoseFormat(), PoseChunk(0, rotations.astype(np.float32), travel, contacts, face))


def swinging(rate: float = 1.0, size: float = 1.0) -> Sample:
    """The left elbow swings."""
    rotations = hanging(len(TIMES))
    angle = size * (0.6 + 0.4 * np.sin(2 * np.pi * rate * TIMES))
    rotations[:, 18] = exp(angle[:, None] * np.array([0, -1.0, 0]))
    return Sample(motion(rotations), WORDS)


def test_talking_and_pauses() -> None:
    sample = swinging()
    assert sample.pauses == [(4.0, 4.5), (7.0, 10.0)]
    assert sample.talking[: 7 * FPS].all()
    assert not sample.talking[7 * FPS :].any()
    assert sample.briefly_silent.sum() == 15


def test_strokes_are_counted_in_speech_and_speeds_are_of_the_wrist() -> None:
    sample = swinging(rate=1.0, size=1.0)
    assert strokes_in_speech(sample) in (14, 15)  # two peaks a second
    fore = float(np.linalg.norm(sample.motion.format.skeleton.offsets[20]))
    assert sample.wrist_speeds[:, 0].max() == pytest.approx(0.4 * 2 * np.pi * fore, rel=0.02)
    assert sample.wrist_speeds[:, 1].max() < 1e-4
    assert angular_speed(sample, 18).max() == pytest.approx(np.rad2deg(0.4 * 2 * np.pi), rel=0.02)


def test_a_raised_still_hand_is_a_hold() -> None:
    rotations = hanging(len(TIMES))
    bend = np.where((TIMES > 2) & (TIMES < 3), 2.4, 0.0)
    rotations[:, 18] = exp(bend[:, None] * np.array([0, -1.0, 0]))
    found = holds(Sample(motion(rotations), WORDS))
    assert len(found) == 1
    assert found[0] == pytest.approx(1.0, abs=0.1)


def test_steps_and_weight_shifts_per_minute_of_speech() -> None:
    way = np.zeros((len(TIMES), 3))
    way[:, 0] = 0.2 * np.clip((TIMES - 2) / 0.4, 0, 1)
    walked = Sample(motion(hanging(len(TIMES)), way), WORDS)
    assert measures([walked])["steps, 1/min"] == pytest.approx(2 * 60 / 7)  # both feet
    assert hip_speed(walked).max() == pytest.approx(0.5, rel=0.01)
    leaning = identity(len(TIMES), 55)
    tilt = 0.2 * np.sin(2 * np.pi * 0.5 * TIMES)
    for joint in (1, 2):
        leaning[:, joint] = exp(tilt[:, None] * np.array([0, 0, 1.0]))
    shifts = measures([Sample(motion(leaning), WORDS)])["weight shifts, 1/min"]
    assert shifts == pytest.approx(6 * 60 / 7)  # two in two seconds


def test_spread_is_the_deviation_of_the_rotation() -> None:
    wide, narrow = (spread([swinging(size=size)]) for size in (1.0, 0.5))
    assert wide[18] > 1.7 * narrow[18] > 0
    assert wide[19] == pytest.approx(0.0, abs=1e-6)


def test_all_measures_are_finite_numbers() -> None:
    found = measures([swinging(), swinging(0.5)])
    assert all(np.isfinite(value) for value in found.values())
    assert {f"{name}, rotation spread" for name in GROUPS} <= set(found)
    assert found["slower over faster hand"] == pytest.approx(0.0, abs=1e-3)
