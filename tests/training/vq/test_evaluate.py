import json

import numpy as np
import pytest
import torch

from engine.motion import rotation as rot
from engine.motion.channels import part_layout
from engine.motion.pose import Motion, PoseChunk
from engine.motion.skeleton import BodyPart
from tests.support.training_fixtures import save_parts, waving
from training.data.clips import save_clip
from training.vq import evaluate
from training.vq.evaluate import (
    average,
    compare,
    decode,
    encode,
    load_decoder,
    relative,
)
from training.vq.stage import load_parts


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vq")
    save_parts(folder)
    return folder


def _turned(motion, degrees, shift):
    """The motion rotated by `degrees` about the vertical and moved by `shift`."""
    q = rot.exp(np.array([0.0, np.radians(degrees), 0.0], np.float32))
    rotations = motion.poses.rotations.copy()
    rotations[:, 0] = rot.multiply(np.broadcast_to(q, rotations[:, 0].shape), rotations[:, 0])
    moved = motion.poses.translation + np.array(shift, np.float32)
    chunk = PoseChunk(0, rotations, moved, motion.poses.contacts, motion.poses.face)
    return Motion(motion.format, chunk)


def test_relative_positions_ignore_root_rotation_and_motion():
    motion = waving(1, 6)
    there = _turned(motion, 75, [1.0, 0.2, -3.0])
    np.testing.assert_allclose(relative(there, "pelvis"), relative(motion, "pelvis"), atol=1e-5)
    assert np.abs(relative(there, "left_wrist") - relative(motion, "pelvis")).max() > 0.1


def test_root_errors_do_not_affect_the_parts():
    motion = waving(1, 8)
    report = compare(_turned(motion, 0, [0.0, 0.03, 0.04]), motion)
    assert report["root"] == pytest.approx(5.0, abs=1e-3)
    assert report["foot_height"] == pytest.approx(3.0, abs=1e-3)
    assert max(report["upper"], report["lower"], report["hands"]) < 1e-3
    assert report["face"] == 0.0


def test_sliding_feet_are_measured():
    motion = waving(1, 8)
    still = Motion(motion.format, PoseChunk(0, rot.identity(8, 55), *(
        np.zeros((8, n), np.float32) for n in (3, 4, 51)
    )))  # fmt: skip
    slid = _turned(still, 0, np.arange(8)[:, None] * np.array([[0.01, 0.5, 0.0]]))
    assert compare(still, still)["foot_speed"] == 0.0
    # 1 cm per frame is 0.3 m/s; vertical motion is ignored.
    assert compare(slid, still)["foot_speed"] == pytest.approx(0.3, abs=1e-3)


def test_average_is_weighted_by_length():
    rows = [{"all": 1.0, "jerk_made": 2.0, "jerk_true": 1.0}] * 2
    rows[1] = {"all": 4.0, "jerk_made": 2.0, "jerk_true": 1.0}
    assert average(rows, [30, 10]) == {
        "all": 1.75, "jerk_made": 2.0, "jerk_true": 1.0, "jerk_ratio": 2.0
    }  # fmt: skip


def test_decoded_motion_starts_at_the_original_position(trained):
    parts, motion = load_parts(trained), waving(2, 12)
    codes = encode(parts, motion)
    made = decode(load_decoder(trained, parts), codes, motion)
    assert codes.shape == (1, len(BodyPart), 12)
    assert len(made) == 12
    start = motion.poses.translation[0, [0, 2]]
    np.testing.assert_allclose(made.poses.translation[0, [0, 2]], start, atol=1e-6)


def test_face_codes_are_decoded_by_the_face_part(trained):
    parts, motion = load_parts(trained), waving(2, 12)
    codes = encode(parts, motion)
    made = decode(load_decoder(trained, parts), codes, motion)
    own = parts[BodyPart.FACE].decode_codes(codes[:, list(BodyPart).index(BodyPart.FACE)])
    face = part_layout(BodyPart.FACE, 51).unpack(own[0].detach())["face"]
    np.testing.assert_allclose(made.poses.face, face, atol=1e-5)


def test_stage_reports_sets_with_clips(trained, tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    for seed, frames in ((1, 10), (2, 14)):
        save_clip(tmp_path / "clips" / f"{seed}.npz", waving(seed, frames), {"split": "test"})
    evaluate.run({}, tmp_path, trained)
    report = json.loads((trained / "floors.json").read_text())
    assert list(report) == ["clips test"]
    assert (report["clips test"]["clips"], report["clips test"]["frames"]) == (2, 24)
    usage = report["clips test"]["code_usage"]
    assert set(usage) == {str(part) for part in BodyPart}
    assert all(0 < share <= 1 for (share,) in usage.values())
    assert "clips test" in capsys.readouterr().out


def test_usage_counts_distinct_codes(trained):
    parts, motion = load_parts(trained), waving(3, 10)
    measured = evaluate.measure(parts, load_decoder(trained, parts), [motion, motion])
    codes = encode(parts, motion)[0]
    for index, part in enumerate(BodyPart):
        expected = len(torch.unique(codes[index])) / parts[part].codes
        assert measured["code_usage"][part] == pytest.approx([expected], abs=1e-3)
        assert 1.0 <= measured["perplexity"][part][0] <= len(torch.unique(codes[index])) + 0.1
