import numpy as np
import pytest

from bench.metrics.smoothness import mean_jerk, seam_jumps


def line(x: np.ndarray) -> np.ndarray:
    """One joint along x."""
    positions = np.zeros((len(x), 1, 3))
    positions[:, 0, 0] = x
    return positions


def test_a_cubic_has_constant_jerk():
    # The third derivative of t^3 is 6; time in frames of half a second.
    assert mean_jerk(line((np.arange(9) / 2.0) ** 3), 2.0) == pytest.approx(6.0)
    assert mean_jerk(line(np.arange(9.0) ** 2), 2.0) == pytest.approx(0.0)
    assert mean_jerk(line(np.arange(3.0)), 2.0) == 0.0


def test_jerk_is_a_mean_over_joints():
    both = np.concatenate([line(np.arange(9.0) ** 3), line(np.zeros(9))], axis=1)
    assert mean_jerk(both, 1.0) == pytest.approx(3.0)


def test_jerk_of_some_frames_only():
    x = np.concatenate([np.arange(9.0) ** 3, np.zeros(9)])
    counted = np.arange(18) < 9
    assert mean_jerk(line(x), 1.0, counted) == pytest.approx(6.0)
    assert mean_jerk(line(x), 1.0, np.zeros(18, bool)) == 0.0


def test_a_step_between_two_frames_is_a_jump():
    x = np.zeros(12)
    x[6:] = 0.5
    jumps = seam_jumps(line(x), 10.0, every=6, first=6)
    # At the seam the velocity changes by 0.5 m * 10; in the next frame it changes back.
    assert jumps.at_seams == pytest.approx(5.0)
    assert jumps.elsewhere == pytest.approx(5.0 / 9)
    assert jumps.ratio == pytest.approx(9.0)


def test_steady_motion_has_no_seams():
    jumps = seam_jumps(line(np.arange(20.0)), 30.0, every=4, first=4)
    assert jumps.at_seams == pytest.approx(0.0, abs=1e-9)


def test_only_seams_count_as_seams():
    x = np.arange(20.0) ** 2
    jumps = seam_jumps(line(x), 1.0, every=3, first=5)
    assert (jumps.at_seams, jumps.elsewhere) == (pytest.approx(2.0), pytest.approx(2.0))


@pytest.mark.parametrize(("every", "first"), [(1, 0), (100, 100), (100, 0), (100, 1)])
def test_without_seams_or_without_other_frames_the_result_is_none(every, first):
    assert seam_jumps(line(np.zeros(20)), 30.0, every=every, first=first) is None
