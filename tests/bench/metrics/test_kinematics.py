import numpy as np
import pytest

from bench.metrics.kinematics import (
    mean_length,
    positions_at_origin,
    positions_in_body,
    runs,
    speeds,
    world_positions,
)
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp, identity
from engine.motion.skeleton import SMPLX_55


def turning(frames: int = 3) -> Motion:
    """The whole body turns about the vertical and moves along x; one elbow bends."""
    rotations = identity(frames, 55)
    rotations[:, 0] = exp(np.outer(np.arange(frames), [0, 0.5, 0]).astype(np.float32))
    rotations[:, 18] = exp(np.outer(np.arange(frames), [0, -0.4, 0]).astype(np.float32))
    way = np.stack([np.arange(frames), np.full(frames, 1.3), np.zeros(frames)], 1)
    still = [np.zeros((frames, n), np.float32) for n in (4, 51)]
    return Motion(PoseFormat(), PoseChunk(0, rotations, way.astype(np.float32), *still))


def test_positions_at_origin_have_no_root_translation():
    motion = turning()
    world, local = world_positions(motion), positions_at_origin(motion)
    assert world[2, 0] - world[0, 0] == pytest.approx([2, 0, 0])
    assert local[2, 0] == pytest.approx(local[0, 0])
    assert world[:, 20] - world[:, 0] == pytest.approx(local[:, 20] - local[:, 0], abs=1e-6)


def test_positions_in_body_have_no_root_rotation_either():
    motion = turning()
    seen = positions_in_body(motion)
    assert not seen[:, 0].any()
    # Only joints below the bent elbow move.
    moved = np.abs(seen - seen[0]).max((0, 2)) > 1e-5
    below = {20, *range(25, 40)}
    assert all(SMPLX_55.joint_names[j].startswith("left") for j in below)
    assert set(np.flatnonzero(moved)) == below
    assert motion.poses.rotations[1, 0, 0] < 1  # the motion itself is unchanged


def test_speeds_are_central_differences():
    positions = np.zeros((4, 1, 3))
    positions[:, 0, 0] = [0, 1, 4, 9]
    assert speeds(positions, 2.0)[:, 0] == pytest.approx([2, 4, 8, 10])


def test_runs_of_true_frames():
    assert runs(np.array([True, False, True, True])).tolist() == [[0, 1], [2, 4]]
    assert runs(np.zeros(3, bool)).shape == (0, 2)


def test_mean_length():
    assert mean_length(np.array([[3.0, 4, 0], [0, 0, 1]])) == 3.0
    assert mean_length(np.zeros((0, 3))) == 0.0
