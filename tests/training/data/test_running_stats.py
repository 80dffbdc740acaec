"""Running statistics of motions."""

import json
from pathlib import Path

import numpy as np

from engine.motion.skeleton import SMPLX_55
from tests.support.training_fixtures import waving
from training.data.running_stats import FILE, no_totals, totals_of, write_totals
from training.data.vectors import motion_vector
from training.sources.resample import shortened


def test_mean_and_deviation_of_a_motion() -> None:
    motion = waving(1, 50)
    found = totals_of(motion).numbers()
    vectors = motion_vector(motion)
    np.testing.assert_allclose(found["mean"], vectors.mean(0), atol=1e-5)
    np.testing.assert_allclose(found["std"], vectors.std(0), atol=1e-4)
    assert (found["frames"], len(found["mean"])) == (50, 337)


def test_sums_of_takes_can_be_added() -> None:
    motions = [waving(seed, 20 + seed) for seed in (1, 2, 3)]
    whole = sum((totals_of(motion) for motion in motions), no_totals()).numbers()
    vectors = np.concatenate([motion_vector(motion) for motion in motions])
    np.testing.assert_allclose(whole["mean"], vectors.mean(0), atol=1e-5)
    np.testing.assert_allclose(whole["std"], vectors.std(0), atol=1e-4)


def test_speeds_are_in_m_s() -> None:
    motion = waving(1, 31)
    motion.poses.rotations[:] = motion.poses.rotations[0]
    motion.poses.translation[:, 0] = np.arange(31) * 0.02
    speed = totals_of(motion).numbers()["joint_speed"]
    np.testing.assert_allclose(speed, 0.6, rtol=1e-4)
    assert len(speed) == len(SMPLX_55.joint_names)


def test_one_frame_and_no_frames_are_accepted(tmp_path: Path) -> None:
    one = totals_of(shortened(waving(1, 5), 1)).numbers()
    assert not any(one["joint_speed"])
    write_totals(tmp_path, no_totals())
    report = json.loads((tmp_path / FILE).read_text())
    assert report["frames"] == 0
    assert not any(report["std"])
    assert report["joints"][0] == "pelvis"
