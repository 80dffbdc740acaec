from fractions import Fraction

import numpy as np
import pytest

from engine.motion.rotation import angle, exp, identity
from tests.support.training_fixtures import waving
from training.sources.resample import frame_positions, resampled, shortened


def test_every_second_frame_is_met_exactly():
    motion = waving(1, 41)
    half = resampled(motion, 15)
    assert len(half) == 21
    assert half.format.clock.frame_rate == 15
    assert half.format.clock.sample_rate == 16000
    assert angle(half.poses.rotations, motion.poses.rotations[::2]).max() < 1e-3
    np.testing.assert_array_equal(half.poses.translation, motion.poses.translation[::2])
    np.testing.assert_array_equal(half.poses.face, motion.poses.face[::2])


def test_between_frames_turns_are_even_and_ways_straight():
    motion = waving(1, 2)
    turn = np.zeros((2, 55, 3), np.float32)
    turn[1, 16, 1] = 1.0
    motion.poses.rotations[:] = exp(turn)
    motion.poses.translation[:] = [[0, 1, 0], [0.3, 1, 0]]
    twice = resampled(motion, 60).poses
    assert len(twice) == 3
    half = exp(np.array([0, 0.5, 0], np.float32))
    assert angle(twice.rotations[1, 16], half) < 1e-5
    assert twice.translation[1] == pytest.approx([0.15, 1, 0])


def test_from_120_to_30_no_frame_is_lost():
    motion = waving(2, 121)
    slow = resampled(resampled(motion, 120), 30)
    assert len(slow) == 121
    assert angle(slow.poses.rotations, motion.poses.rotations).max() < 1e-3


def test_rates_that_do_not_divide_keep_the_time():
    motion = waving(3, 31)
    motion.poses.translation[:, 0] = np.arange(31) / 30
    made = resampled(motion, 24)
    assert len(made) == 25
    assert made.poses.translation[:, 0] == pytest.approx(np.arange(25) / 24, abs=1e-6)


def test_contacts_are_detected_again():
    motion = waving(1, 9)
    motion.poses.rotations[:] = identity(9, 55)
    motion.poses.contacts[:] = 0
    motion.poses.translation[:] = [0, 1.28, 0]
    assert resampled(motion, 15).poses.contacts.min() == 1


def test_the_same_rate_changes_nothing():
    motion = waving(1, 5)
    assert resampled(motion, 30) is motion


def test_a_motion_is_shortened():
    motion = waving(1, 9)
    short = shortened(motion, 4)
    assert len(short) == 4
    np.testing.assert_array_equal(short.poses.face, motion.poses.face[:4])
    assert len(shortened(motion, 20)) == 9


def test_places_are_exact_for_rates_that_are_no_whole_numbers():
    # 119.88 frames a second to 30: every 3.996th frame.
    at = frame_positions(1000, Fraction(11988, 100), 30)
    assert len(at.before) == 251
    np.testing.assert_array_equal(at.before[:4], [0, 3, 7, 11])
    np.testing.assert_allclose(at.share[:4], [0, 0.996, 0.992, 0.988])
    assert (at.before[250], at.share[250]) == (999, 0.0)
    assert at.after.max() == 999
    np.testing.assert_allclose(at.linear(np.arange(1000.0)), np.arange(251) * 3.996)


def test_places_of_whole_multiples_pick_frames():
    at = frame_positions(9, 120, 30)
    assert not at.share.any()
    np.testing.assert_array_equal(at.slerp(np.eye(9)[:, None, :4]), np.eye(9)[[0, 4, 8], None, :4])
