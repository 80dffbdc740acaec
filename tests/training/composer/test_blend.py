"""Easing, sampling, mirroring and elbow bends."""

import numpy as np
import pytest

from engine.motion.rotation import angle, between, exp, forward_kinematics, identity
from engine.motion.skeleton import SMPLX_55
from training.composer.blend import (
    Clip,
    bend_elbow,
    continuous,
    distribute_twist,
    eased,
    mirrored,
    mix,
    sample_rotations,
)


def clip(rotations: np.ndarray) -> Clip:
    frames = len(rotations)
    travel = np.tile(np.array([0.1, 1.2, 0.3], np.float32), (frames, 1))
    contacts = np.tile(np.array([1, 0, 1, 0], np.float32), (frames, 1))
    return Clip("c", rotations, travel, contacts, "gesture", "train", hand="left")


def positions(rotations: np.ndarray) -> np.ndarray:
    travel = np.zeros((len(rotations), 3), np.float32)
    return forward_kinematics(SMPLX_55.parents, SMPLX_55.offsets, rotations, travel)[0]


def test_eased_rests_at_its_knots() -> None:
    times = np.linspace(0, 3, 301)
    curve = eased(times, [(0.5, 1.0), (1.0, 2.0), (2.5, 0.0)])
    assert curve[0] == 1.0
    assert curve[100] == pytest.approx(2.0)
    assert curve[-1] == pytest.approx(0.0)
    slope = np.abs(np.diff(curve))
    assert slope[[50, 99, 249]].max() < 0.002 < slope.max()


def test_continuous_flips_signs_only() -> None:
    turns = exp(np.linspace(0, 3, 10)[:, None, None] * np.array([1.0, 0, 0]))
    broken = turns * np.where(np.arange(10) % 3 == 0, -1, 1)[:, None, None]
    fixed = continuous(broken)
    assert (fixed[1:] * fixed[:-1]).sum(-1).min() > 0
    assert angle(fixed, turns.astype(np.float32)).max() < 1e-3


def test_sampling_between_frames_stays_on_the_way() -> None:
    turns = exp(np.array([0.0, 0.2])[:, None, None] * np.array([1.0, 0, 0])).astype(np.float32)
    between = sample_rotations(turns, np.array([0.5, 7.0]))
    assert between[0] == pytest.approx(exp(np.array([[0.1, 0, 0]])), abs=1e-5)
    assert between[1] == pytest.approx(turns[1])


def test_mix_takes_the_short_way() -> None:
    a = identity(1, 1)
    b = -exp(np.array([[[0.4, 0, 0]]])).astype(np.float32)
    assert float(angle(mix(a, b, np.array([[0.5]])), a).squeeze()) == pytest.approx(0.2, abs=1e-3)


def test_a_mirror_swaps_the_hands() -> None:
    rotations = identity(1, 55)
    rotations[:, 16] = exp(np.array([0.1, 0.2, 0.9], np.float32))
    there = mirrored(clip(rotations))
    plain, swapped = positions(rotations)[0], positions(there.rotations)[0]
    # The rest skeleton is not quite symmetric: compare directions of the upper arms.
    left = plain[18] - plain[16]
    right = swapped[19] - swapped[17]
    left, right = left / np.linalg.norm(left), right / np.linalg.norm(right)
    assert np.abs(left * [-1, 1, 1] - right).max() < 0.2
    assert there.hand == "right"
    assert there.contacts[0].tolist() == [0, 1, 0, 1]
    assert there.translation[0, 0] == pytest.approx(-0.1)
    assert mirrored(there).rotations == pytest.approx(rotations)


@pytest.mark.parametrize(("side", "elbow", "sign"), [("left", 18, -1.0), ("right", 19, 1.0)])
def test_bending_brings_the_wrist_nearer_to_the_shoulder(
    side: str, elbow: int, sign: float
) -> None:
    rotations = identity(3, 55)
    rotations[:, elbow] = exp(np.array([0, sign * 1.2, 0], np.float32))
    before = positions(rotations)
    bend_elbow(rotations, side, np.array([-0.4, 0.0, 0.4]))
    after = positions(rotations)
    shoulder, wrist = elbow - 2, elbow + 2
    reach = np.linalg.norm(after[:, wrist] - after[:, shoulder], axis=-1)
    assert reach[0] > reach[1] > reach[2]
    assert after[1] == pytest.approx(before[1], abs=1e-5)


def test_a_straight_arm_is_left_alone() -> None:
    rotations = identity(1, 55)
    offsets = SMPLX_55.offsets
    rotations[:, 18] = between(offsets[20], offsets[18])
    before = rotations.copy()
    bend_elbow(rotations, "left", np.array([-0.5]))
    assert angle(rotations, before).max() < 1e-3


def test_even_twist_leaves_the_hands_where_they_are() -> None:
    turns = np.random.default_rng(0).normal(0, 0.5, (20, 55, 3)).astype(np.float32)
    rotations = exp(turns)
    travel = np.zeros((20, 3), np.float32)
    evened = distribute_twist(rotations)
    before, after = (
        forward_kinematics(SMPLX_55.parents, SMPLX_55.offsets, q, travel)
        for q in (rotations, evened)
    )
    # The elbow's own twist about the upper arm is shared first, then the forearm's.
    assert after[0] == pytest.approx(before[0], abs=1e-4)
    assert angle(after[1][:, 20], before[1][:, 20]).max() < 1e-2
    axis = SMPLX_55.offsets[20] / np.linalg.norm(SMPLX_55.offsets[20])
    about = [2 * np.arctan((evened[:, j, 1:] @ axis) / evened[:, j, 0]) for j in (18, 20)]
    assert about[0] == pytest.approx(about[1], abs=1e-3)
