"""Kinematics of hand-made figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.starter.kinematics import blinks, body_numbers, clip_motions, motion_numbers
from bench.starter.renderings import Scene
from bench.starter.speech_set import Part
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp, identity
from engine.motion.skeleton import SMPLX_55
from engine.postprocess.blinks import Blinks
from tests.support.training_fixtures import tone_take, waving
from training.composer.blend import Clip
from training.data.clips import save_clip


def standing(frames: int, **turns: float) -> Motion:
    """A figure at rest, with given rotations (rad about y) of joints."""
    rotations = identity(frames, 55)
    for name, angle in turns.items():
        vector = np.tile(np.array([0.0, angle, 0.0], np.float32), (frames, 1))
        rotations[:, SMPLX_55.index(name)] = exp(vector)
    zeros = [np.zeros((frames, width), np.float32) for width in (3, 4, 51)]
    return Motion(PoseFormat(), PoseChunk(0, rotations, *zeros))


def test_a_figure_at_rest_has_no_errors() -> None:
    found = motion_numbers([standing(30), standing(60)])
    assert set(found.values()) == {0.0}


def test_a_share_of_frames_with_bent_elbows_is_counted() -> None:
    """A left elbow bent back: its forearm, which points to +x, points to -z."""
    found = motion_numbers([standing(30, left_elbow=0.6), standing(90)])
    assert found["elbows or knees bent back"] == pytest.approx(0.25)
    assert motion_numbers([standing(30, left_elbow=-0.6)])["elbows or knees bent back"] == 0.0


def test_jerk_is_a_mean_over_all_frames() -> None:
    wild = motion_numbers([waving(1, 90)])["jerk m/s3"]
    assert wild > 0
    both = motion_numbers([waving(1, 90), standing(90)])["jerk m/s3"]
    assert both == pytest.approx(wild / 2)


def test_eyelid_closures_are_blinks() -> None:
    motion = standing(90)
    lid = motion.format.face.coefficients.index("eyeBlinkLeft")
    for first in (10, 40):
        motion.poses.face[first : first + 5, lid] = 0.9
    motion.poses.face[70, lid] = 0.4
    assert blinks(motion) == 2
    part = Part("x", tone_take("test", 1, 3.0).speech)
    numbers = body_numbers([Scene(part, motion)])
    assert numbers["blinks a minute"] == pytest.approx(40.0)
    assert numbers["weight shifts or steps a minute"] == 0.0
    flame = replace(motion.format, face=FLAME_100)
    other = Motion(flame, replace(motion.poses, face=np.zeros((90, 100), np.float32)))
    assert "blinks a minute" not in body_numbers([Scene(part, other)])


def test_the_blinks_of_a_bundle_are_counted_one_by_one() -> None:
    motion = standing(1800)
    source = Blinks(30.0, 0, motion.format.face, 30)
    closed = np.array([source.next(frame, voiced=False) for frame in range(1800)])
    motion.poses.face[:, motion.format.face.coefficients.index("eyeBlinkLeft")] = closed
    begun = int(((closed[1:] > 0) & (closed[:-1] == 0)).sum())
    assert blinks(motion) == begun > 15


def test_clips_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    save_clip(tmp_path / "clips" / "a.npz", waving(1, 20), {})
    empty = np.zeros((0, 4), np.float32)
    (motion,) = clip_motions(tmp_path, [Clip("a", empty, empty, empty, "gesture", "train")])
    assert len(motion) == 20
