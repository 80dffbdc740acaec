"""Beat constancy against hand-calculated values, and against those published for BEAT2."""

import math
from pathlib import Path

import numpy as np
import pytest

from bench.metrics.beats import (
    BEAT_JOINTS,
    CUT_FRAMES,
    bc_equation_13,
    bc_over_onsets,
    gesture_beats,
    minima,
)


def test_minima_are_strict_and_wide():
    assert minima(np.array([3.0, 2, 1, 2, 3]), 2).tolist() == [2]
    assert minima(np.array([3.0, 1, 1, 2, 3]), 1).tolist() == []
    assert minima(np.array([3.0, 1, 2, 0, 3]), 1).tolist() == [1, 3]
    assert minima(np.array([3.0, 1, 2, 0, 3]), 2).tolist() == [3]
    # The first and last value are their own neighbours.
    assert minima(np.array([0.0, 1, 2, 3]), 2).tolist() == []
    assert minima(np.array([1.0, 0, 1]), 7).tolist() == [1]


def relative(beats: list[int], frames: int = 200, level: float = 1.0) -> np.ndarray:
    """Speeds of one joint that dips to 0.5 at the given frames."""
    speed = np.full((frames, 1), level)
    for beat in beats:
        for away in range(-3, 4):
            speed[beat + away] = 0.5 + 0.1 * abs(away)
    return speed


def test_beats_are_counted_from_the_cut():
    (times,) = gesture_beats(relative([30, 75, 105, 190]), 30.0)
    assert times.tolist() == [0.5, 1.5]


def test_a_joint_that_does_not_move_has_no_beats():
    slow = relative([75, 105])
    slow[100:] *= 0.5
    (times,) = gesture_beats(slow, 30.0)
    assert times.tolist() == [0.5]
    # The published index: the speeds of frames 15 and 45 decide, not those of 75 and 105.
    (slipped,) = gesture_beats(slow, 30.0, slip=True)
    assert slipped.tolist() == [0.5, 1.5]
    slow[15] = 0.1
    assert gesture_beats(slow, 30.0, slip=True)[0].tolist() == [1.5]


def test_short_takes_have_no_beats():
    assert [len(b) for b in gesture_beats(np.ones((CUT_FRAMES, 2)), 30.0)] == [0, 0]


# exp(-0.3^2 / (2 0.3^2)) = exp(-1/2), and exp(-2) twice as far away.
HALF, FULL = math.exp(-0.5), math.exp(-2.0)


def test_equation_13_averages_over_gesture_beats():
    beats = [np.array([1.0, 2.0]), np.array([2.3])]
    onsets = np.array([1.0, 2.0])
    assert bc_equation_13(beats, onsets) == pytest.approx((1 + 1 + HALF) / 3)
    assert bc_equation_13(beats, np.zeros(0)) is None
    assert bc_equation_13([np.zeros(0)], onsets) is None


def test_the_authors_code_averages_over_onsets_and_joints():
    beats = [np.array([1.0]), np.array([2.3]), np.zeros(0)]
    onsets = np.array([1.0, 1.6])
    first = (1 + FULL) / 2
    second = (math.exp(-(1.3**2) / 0.18) + math.exp(-(0.7**2) / 0.18)) / 2
    assert bc_over_onsets(beats, onsets) == pytest.approx((first + second + 0) / 3)
    assert bc_over_onsets(beats, np.zeros(0)) is None
    assert bc_over_onsets([], onsets) is None


def test_many_beats_raise_the_code_value_and_not_the_equation():
    """A trembling hand has a beat near every onset: the two forms are not comparable."""
    onsets = np.array([2.0, 4.0])
    calm, wild = [onsets], [np.arange(0, 6, 0.25)]
    assert bc_over_onsets(wild, onsets) == pytest.approx(1.0)
    assert bc_equation_13(calm, onsets) == 1.0
    assert bc_equation_13(wild, onsets) < 0.5


@pytest.mark.librosa
@pytest.mark.reference
def test_the_real_take_has_the_published_constancy(shared_dir: Path) -> None:
    from bench.metrics.kinematics import positions_at_origin, speeds
    from bench.metrics.onsets import onset_times, take_sound
    from training.sources.beat2 import read_beat2, to_motion

    folder = shared_dir / "data" / "beat2"
    motion = to_motion(read_beat2(folder / "2_scott_0_1_1.npz"))
    means = np.load(folder / "mean_vel_smplxflame_30.npy")
    moving = (speeds(positions_at_origin(motion), 30.0) / means)[:, list(BEAT_JOINTS)]
    sound = take_sound(folder / "2_scott_0_1_1.flac")
    onsets = onset_times(sound, len(motion), motion.format.clock)
    with_slip = bc_over_onsets(gesture_beats(moving, 30.0, slip=True), onsets)
    without = bc_over_onsets(gesture_beats(moving, 30.0), onsets)
    assert with_slip == pytest.approx(0.71, abs=0.005)
    assert without is not None
    assert 0.44 <= without <= 0.46
    assert bc_equation_13(gesture_beats(moving, 30.0), onsets) == pytest.approx(0.94, abs=0.02)
