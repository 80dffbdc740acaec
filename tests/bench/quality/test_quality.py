"""All metrics together on small motions: equality, averages, missing inputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.metrics.gesture_features import GestureEncoder
from bench.metrics.kinematics import positions_in_body
from bench.quality.page import MEANINGS
from bench.quality.quality import (
    QualitySettings,
    as_json,
    evaluate,
    face_tracks,
    mean_speeds,
    motion_row,
    pair_row,
)
from bench.quality.takes import TakePair
from engine.motion.face_basis import ARKIT_52, FLAME_100
from engine.motion.pose import HandReference, Motion, PoseFormat
from tests.support.training_fixtures import waving

FRAMES = 200


def pair(made: Motion, true: Motion, name: str = "a") -> TakePair:
    speaking = np.arange(len(true)) % 100 < 60
    return TakePair(name, made, true, np.array([0.5, 1.0, 2.0]), speaking)


def shifted(motion: Motion, way: float) -> Motion:
    poses = motion.poses
    moved = poses.translation + np.array([way, 0, 0], np.float32)
    return Motion(motion.format, replace(poses, translation=moved))


def frozen(motion: Motion) -> Motion:
    """A copy with the first pose in all frames, and the root translation."""
    poses = motion.poses
    still = poses.rotations[:1].repeat(len(poses), 0)
    return Motion(
        motion.format, replace(poses, rotations=still, translation=poses.translation.copy())
    )


def test_a_motion_against_itself_has_no_error() -> None:
    own = waving(1, FRAMES)
    report = evaluate([pair(own, own)], QualitySettings())
    assert report.pred == report.gt
    assert report.both["joint_error_m"] == 0
    assert report.both["wrist_speed_r"] == pytest.approx(1)
    assert report.both["face_mse"] == 0
    assert report.both["fgd"] is None
    assert any(note.startswith("fgd is null") for note in report.notes)
    assert {"bc_code_with_slip", "skate_ratio", "strokes_per_minute_in_silence"} <= set(report.pred)
    assert not {"seam_ratio", "nearest_training_median_m"} & set(report.pred)


def test_joint_errors_are_metres() -> None:
    own = waving(1, FRAMES)
    row = pair_row(pair(shifted(own, 0.25), own), QualitySettings())
    assert row["joint_error_m"] == (pytest.approx(0.25), FRAMES)
    assert row["wrist_error_m"][0] == pytest.approx(0.25)
    still = frozen(own)
    still.poses.translation[:] = 0
    assert pair_row(pair(still, own), QualitySettings())["wrist_speed_r"][0] is None


def test_long_takes_count_more() -> None:
    own = waving(1, 300)
    short = Motion(own.format, replace(waving(2, 100).poses))
    pairs = [pair(shifted(own, 0.1), own), pair(shifted(short, 0.5), short, "b")]
    report = evaluate(pairs, QualitySettings())
    assert report.both["joint_error_m"] == pytest.approx((0.1 * 300 + 0.5 * 100) / 400)
    assert report.takes["b"]["both"]["joint_error_m"] == pytest.approx(0.5)
    assert list(report.takes) == ["a", "b"]


def test_wrist_speed_is_in_metres_a_second() -> None:
    own = waving(1, FRAMES)
    fast = frozen(own)
    fast.poses.translation[:, :2] = [0, 1]
    fast.poses.translation[:, 2] = 0.02 * np.arange(FRAMES)
    row = motion_row(pair(fast, fast), fast, QualitySettings(), np.ones(55))
    assert row["wrist_speed_m_s"][0] == pytest.approx(0.6, rel=1e-4)
    assert row["jerk_m_s3"][0] < 1.0
    # Root translation does not count as diversity.
    assert row["l1_diversity_code_m"][0] == pytest.approx(0, abs=1e-4)


def test_beats_depend_on_mean_speeds() -> None:
    own = waving(1, 400)
    means = mean_speeds([pair(own, own)])
    assert means.shape == (55,)
    assert means[20] > means[0]
    known = evaluate([pair(own, own)], QualitySettings(mean_speeds=means))
    assert known.pred == evaluate([pair(own, own)], QualitySettings()).pred
    assert not any("mean speeds" in note for note in known.notes)
    slow = evaluate([pair(own, own)], QualitySettings(mean_speeds=1000 * means))
    assert slow.pred["bc_code_with_slip"] == 0
    assert slow.pred["bc_equation_13"] is None


def test_without_sound_there_is_no_beat_constancy() -> None:
    own = waving(1, FRAMES)
    mute = replace(pair(own, own), onsets=None, speaking=None)
    report = evaluate([mute], QualitySettings())
    assert "bc_code_with_slip" not in report.pred
    assert "strokes_per_minute_in_speech" not in report.pred
    assert any("--audio" in note for note in report.notes)


def test_frechet_distance_needs_weights() -> None:
    torch.manual_seed(0)
    encoder = GestureEncoder().eval()
    near = evaluate([pair(waving(1, FRAMES), waving(1, FRAMES))], QualitySettings(encoder=encoder))
    far = evaluate([pair(waving(2, FRAMES), waving(1, FRAMES))], QualitySettings(encoder=encoder))
    assert near.both["fgd"] == pytest.approx(0, abs=1e-6)
    assert far.both["fgd"] > 0.01
    assert far.both["fgd_between_halves_of_gt"] == near.both["fgd_between_halves_of_gt"] > 0
    assert any("mostly chance" in note for note in far.notes)


def test_seams_and_copies_are_found() -> None:
    own = waving(1, FRAMES)
    jump = own.poses.translation.copy()
    jump[100:, 0] += 0.2
    made = Motion(own.format, replace(own.poses, translation=jump))
    settings = QualitySettings(seams=(100, 1000), training=lambda: [(positions_in_body(own), 30.0)])
    report = evaluate([pair(made, own)], settings)
    assert report.pred["seam_jump_m_s"] == pytest.approx(0.2 * 30, rel=0.05)
    assert report.pred["seam_ratio"] > 10 * report.gt["seam_ratio"]
    assert report.pred["nearest_training_median_m"] == pytest.approx(0, abs=1e-6)
    # Every number has a meaning on the page.
    assert {*report.pred, *report.gt, *report.both} <= set(MEANINGS)
    new = evaluate([pair(waving(2, FRAMES), own)], settings)
    assert new.pred["nearest_training_p5_m"] > 0.005


def with_face(motion: Motion, fmt: PoseFormat, face: np.ndarray) -> Motion:
    return Motion(fmt, replace(motion.poses, face=face.astype(np.float32)))


def test_faces_are_compared_in_one_basis_only() -> None:
    arkit = waving(1, 30)
    weights = np.random.default_rng(0).uniform(0, 1, (51, 103))
    flame = arkit.poses.face @ weights
    rotations = arkit.poses.rotations.copy()
    true = with_face(arkit, PoseFormat(face=FLAME_100), flame[:, :100])
    assert face_tracks(pair(arkit, true), None) is None
    ours, theirs = face_tracks(pair(arkit, true), weights) or (None, None)
    assert ours is not None
    assert theirs is not None
    # The jaw of the truth is its own rotation, which differs here.
    np.testing.assert_allclose(ours[:, :100], theirs[:, :100], atol=1e-4)
    assert theirs.shape == (30, 103)
    assert np.abs(theirs[:, 102]).max() == pytest.approx(
        2 * np.arccos(np.abs(rotations[:, 22, 0])).max(), abs=1e-3
    )
    other = with_face(arkit, PoseFormat(face=ARKIT_52), np.ones((30, 52)))
    assert face_tracks(pair(arkit, other), weights) is None
    assert (
        face_tracks(pair(arkit, with_face(arkit, arkit.format, np.zeros((30, 51)))), None) is None
    )


def test_notes_name_incomparable_values() -> None:
    own = waving(1, FRAMES)
    fmt = PoseFormat(face=FLAME_100, hand_reference=HandReference.SMPLX_MEAN)
    report = evaluate([pair(own, with_face(own, fmt, np.zeros((FRAMES, 100))))], QualitySettings())
    assert "face_mse" not in report.both
    assert any("hands are relative to flat" in note for note in report.notes)
    assert any("arkit51, flame100" in note for note in report.notes)


def test_json_has_plain_values() -> None:
    own = waving(1, FRAMES)
    numbers = as_json(evaluate([pair(own, own)], QualitySettings()), [pair(own, own)])
    assert (numbers["takes"], numbers["seconds"]) == (1, round(FRAMES / 30, 2))
    for side in ("pred", "gt", "both"):
        assert all(v is None or isinstance(v, float) for v in numbers[side].values())
    assert numbers["pred"]["wrist_speed_m_s"] == pytest.approx(
        numbers["by_take"]["a"]["pred"]["wrist_speed_m_s"]
    )
