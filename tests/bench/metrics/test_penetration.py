from pathlib import Path

import numpy as np
import pytest

from bench.metrics.kinematics import world_positions
from bench.metrics.penetration import capsules, depth, hand_depths
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.rotation import exp, identity
from engine.motion.skeleton import SMPLX_55

START, END = np.zeros(3), np.array([0.0, 1, 0])


def test_depth_in_a_capsule():
    points = np.array([[0.0, 0.5, 0], [0.1, 0.5, 0], [0.3, 0.5, 0], [0, 1.1, 0], [0, -0.3, 0]])
    assert depth(points, START, END, 0.2) == pytest.approx([0.2, 0.1, 0, 0.1, 0])


def test_depths_of_many_frames():
    points = np.zeros((3, 2, 3))
    points[:, 1, 0] = [0.05, 0.1, 0.5]
    starts, ends = np.zeros((3, 3)), np.tile(END, (3, 1))
    assert depth(points, starts, ends, 0.2)[:, 1] == pytest.approx([0.15, 0.1, 0])


def bent(elbow: float, shoulder: float) -> np.ndarray:
    """The right arm lowered by `shoulder` and its elbow bent to the front by `elbow`."""
    rotations = identity(1, 55)
    rotations[0, SMPLX_55.index("right_shoulder")] = exp(np.array([0, 0, shoulder], np.float32))
    rotations[0, SMPLX_55.index("right_elbow")] = exp(np.array([0, elbow, 0], np.float32))
    rest = [np.zeros((1, n), np.float32) for n in (3, 4, 51)]
    return world_positions(Motion(PoseFormat(), PoseChunk(0, rotations, *rest)))


def test_arms_at_rest_are_outside():
    assert hand_depths(bent(0.0, 0.0), SMPLX_55).tolist() == [0.0]
    assert hand_depths(bent(0.0, 1.2), SMPLX_55).tolist() == [0.0]


def test_a_hand_through_the_thigh_is_inside():
    positions = bent(0.0, 0.0)
    hip, knee = (positions[0, SMPLX_55.index(f"left_{name}")] for name in ("hip", "knee"))
    inside = (hip + knee) / 2 + np.array([0.02, 0, 0])
    positions[0, SMPLX_55.index("right_index3")] = inside
    radius = capsules(SMPLX_55)[2].radius
    assert 0.06 < radius < 0.09
    assert hand_depths(positions, SMPLX_55)[0] == pytest.approx(radius - 0.02, abs=2e-3)


def test_the_capsules_are_those_of_a_slim_body():
    shoulders = 0.3165
    assert [round(c.radius / shoulders, 2) for c in capsules(SMPLX_55)] == [0.35, 0.3, 0.24, 0.24]


@pytest.mark.reference
def test_a_recorded_speaker_has_no_penetration(shared_dir: Path) -> None:
    from training.sources.beat2 import read_beat2, to_motion

    motion = to_motion(read_beat2(shared_dir / "data" / "beat2" / "2_scott_0_1_1.npz"))
    assert hand_depths(world_positions(motion), SMPLX_55).max() == 0.0
