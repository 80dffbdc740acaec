"""AMASS files: SMPL-H and SMPL-X arrays, other axes and frame rates."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ClipError
from engine.motion import rotation as rot
from engine.motion.pose import HandReference
from engine.motion.skeleton import SMPLX_55
from tests.support.training_fixtures import waving
from training.data.contacts import floor_height
from training.sources.amass import AmassClip, read_amass, to_motion
from training.sources.leg_ik import FOOT_HEIGHT_M

BODY_AND_HANDS = [*range(22), *range(25, 55)]


def arrays(seed: int = 1, frames: int = 41, width: int = 156, **more: Any) -> dict[str, Any]:
    """A waving figure as its file would be: +Z up, looking along -Y."""
    motion = waving(seed, frames)
    rotations = motion.poses.rotations.astype(np.float64)
    lying = rot.exp(np.array([np.pi / 2, 0.0, 0.0]))
    pelvis = SMPLX_55.offsets[0].astype(float)
    place = rot.rotate(np.broadcast_to(lying, (frames, 4)), motion.poses.translation + pelvis)
    rotations[:, 0] = rot.multiply(np.broadcast_to(lying, (frames, 4)), rotations[:, 0])
    vectors = rot.log(rotations)
    joints = BODY_AND_HANDS if width == 156 else range(55)
    return {
        "poses": vectors[:, list(joints)].reshape(frames, -1),
        "trans": place - pelvis,
        "mocap_framerate" if width == 156 else "mocap_frame_rate": np.array(30.0),
        "gender": np.array("female"),
        "betas": np.zeros(16),
        **more,
    }


@pytest.mark.parametrize("width", [156, 165])
def test_a_file_becomes_the_motion_it_was_made_of(tmp_path: Path, width: int) -> None:
    np.savez(tmp_path / "a.npz", **arrays(width=width))
    clip = read_amass(tmp_path / "a.npz")
    assert (clip.gender, len(clip.betas), clip.frame_rate) == ("female", 16, 30)
    motion, truth = to_motion(clip, 30, face_forward=False), waving(1, 41)
    joints = BODY_AND_HANDS if width == 156 else range(55)
    turned = rot.angle(motion.poses.rotations, truth.poses.rotations)[:, list(joints)]
    assert turned.max() < 1e-3
    # The floor is detected again and the figure begins at the origin.
    moved = motion.poses.translation - truth.poses.translation
    np.testing.assert_allclose(moved - moved[0], 0, atol=1e-5)
    assert floor_height(motion.world_positions()) == pytest.approx(FOOT_HEIGHT_M, abs=1e-5)
    assert motion.format.hand_reference is HandReference.FLAT
    assert not motion.poses.face.any()


def test_a_file_with_y_up_is_left_upright() -> None:
    truth = waving(2, 20).poses
    vectors = rot.log(truth.rotations.astype(float)).reshape(20, -1)
    clip = AmassClip(vectors, truth.translation.astype(float), Fraction(30), np.zeros(16), "")
    motion = to_motion(clip, 30, face_forward=False)
    assert rot.angle(motion.poses.rotations, truth.rotations).max() < 1e-3


def test_a_figure_that_looks_aside_is_turned_forward() -> None:
    made = arrays()
    aside = rot.exp(np.array([0.0, 0.0, 2.0]))
    root = rot.exp(made["poses"][:, :3])
    made["poses"][:, :3] = rot.log(rot.multiply(np.broadcast_to(aside, root.shape), root))
    clip = AmassClip(made["poses"], made["trans"], Fraction(30), np.zeros(16), "")
    pelvis = to_motion(clip, 30).poses.rotations[:, 0].astype(float)
    facing = rot.rotate(pelvis, np.broadcast_to([0.0, 0.0, 1.0], (41, 3))).mean(0)
    assert abs(facing[0]) < 1e-3
    assert facing[2] > 0.9


@pytest.mark.parametrize(
    ("written", "rate", "frames"),
    [(120.0, 120, 11), (59.94005994, Fraction(60000, 1001), 21), (100, 100, 13)],
)
def test_rates_are_kept(tmp_path: Path, written: float, rate: Fraction, frames: int) -> None:
    np.savez(tmp_path / "a.npz", **arrays(mocap_framerate=np.array(written)))
    clip = read_amass(tmp_path / "a.npz")
    assert clip.frame_rate == rate
    motion = to_motion(clip, 30)
    assert (len(motion), motion.format.clock.frame_rate) == (frames, 30)


def _with_nan(made: dict[str, Any]) -> dict[str, Any]:
    made["trans"][3, 1] = np.nan
    return made


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"trans": np.zeros((2, 3))}, r"a\.npz: expected the key 'poses'"),
        (arrays(poses=np.zeros((41, 72))), r"a\.npz: poses must be \[T, 156\].* got \[41, 72\]"),
        (arrays(poses=np.zeros((0, 156))), "poses must be"),
        (arrays(trans=np.zeros((40, 3))), r"trans must be \[41, 3\], got \[40, 3\]"),
        (arrays(mocap_framerate=np.array(0.0)), "1 to 1000 frames a second, got 0"),
        (arrays(mocap_framerate=np.array(np.nan)), "cannot read"),
        (_with_nan(arrays()), "trans holds NaN .* frame 3"),
        (arrays(poses=np.array([["a"] * 156])), "cannot read"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, made: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "a.npz", **made)
    with pytest.raises(ClipError, match=says):
        read_amass(tmp_path / "a.npz")


def test_a_file_without_a_rate_is_an_error(tmp_path: Path) -> None:
    made = arrays()
    del made["mocap_framerate"]
    np.savez(tmp_path / "a.npz", **made)
    with pytest.raises(ClipError, match="expected the key 'mocap_framerate'"):
        read_amass(tmp_path / "a.npz")


def test_pickles_that_nobody_needs_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays(gender=np.array(object()), labels=np.array([{}])))
    assert read_amass(tmp_path / "a.npz").gender == "unknown"
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ClipError, match=r"cannot read .*b\.npz"):
        read_amass(tmp_path / "b.npz")
