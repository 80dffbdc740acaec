"""Self-collision: hands are moved out of the body and unchanged outside it."""

import numpy as np

from engine.motion.rotation import exp, forward_kinematics, identity
from engine.motion.skeleton import SMPLX_55
from training.composer.self_collision import resolve_collisions

FRAMES = 40


def with_hand_inside() -> np.ndarray:
    """Arms down, one forearm swung through the belly in the middle of the clip."""
    rotations = identity(FRAMES, 55)
    rotations[:, SMPLX_55.index("left_shoulder")] = exp(np.array([0.0, 0.0, -1.1], np.float32))
    bend = np.zeros((FRAMES, 3), np.float32)
    bend[:, 2] = -2.2 * np.hanning(FRAMES)
    rotations[:, SMPLX_55.index("left_elbow")] = exp(bend)
    return rotations


def wrists(rotations: np.ndarray) -> np.ndarray:
    positions, _ = forward_kinematics(
        SMPLX_55.parents, SMPLX_55.offsets, rotations, np.zeros((len(rotations), 3), np.float32)
    )
    return positions[:, [SMPLX_55.index("left_wrist"), SMPLX_55.index("right_wrist")]]


def depth(rotations: np.ndarray) -> float:
    """Metres by which the left wrist comes nearer than 12 cm to the trunk's axis."""
    points = wrists(rotations)[:, 0]
    inside = 0.12 - np.hypot(points[:, 0], points[:, 2])
    low = points[:, 1] > SMPLX_55.offsets[0, 1]  # above the pelvis
    return float(np.where(low, inside, 0.0).max())


def test_a_hand_in_the_body_is_swung_out() -> None:
    before = with_hand_inside()
    after = resolve_collisions(before)
    assert depth(before) > 0.02
    assert depth(after) < 0.5 * depth(before)


def test_motion_outside_is_left_as_it_is() -> None:
    raised = identity(FRAMES, 55)
    np.testing.assert_allclose(resolve_collisions(raised), raised, atol=1e-6)


def test_only_the_arm_that_is_inside_moves() -> None:
    before = with_hand_inside()
    np.testing.assert_allclose(
        wrists(resolve_collisions(before))[:, 1], wrists(before)[:, 1], atol=1e-5
    )
