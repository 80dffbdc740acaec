"""Clips as named arrays: conventions, and one error per kind of mistake."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.errors import ClipError
from engine.motion.face_basis import ARKIT_51, FLAME_100
from engine.motion.npz_clip import check_tracks, motion_of, read_arrays
from engine.motion.pose import FrameFlag, HandReference
from engine.motion.rotation import log


def arrays(frames: int = 4) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "poses": random.uniform(-1, 1, (frames, 165)).astype(np.float32),
        "trans": random.uniform(-1, 1, (frames, 3)),
        "expressions": random.standard_normal((frames, 100)),
        "mocap_frame_rate": np.array(30),
    }


def test_beat2_keys_are_read_by_its_conventions() -> None:
    data = arrays()
    motion = motion_of(data)
    assert motion.format.face is FLAME_100
    assert motion.format.hand_reference is HandReference.SMPLX_MEAN
    assert motion.format.clock == FrameClock(16000, 30)
    assert not motion.poses.contacts.any()
    back = log(motion.poses.rotations.astype(np.float64)).reshape(4, 165)
    assert np.abs(back - data["poses"]).max() < 3e-7
    np.testing.assert_array_equal(motion.poses.translation, data["trans"].astype(np.float32))


def test_additional_keys_are_read() -> None:
    own = {
        "expressions": np.ones((4, 51), np.float32),
        "face_basis": np.array("arkit51"),
        "hand_reference": np.array("flat"),
        "contacts": np.ones((4, 4)),
        "flags": np.array([0, 1, 2, 3]),
        "first_frame": np.array(7),
        "sample_rate": np.array(24000),
        "mocap_frame_rate": np.array(15.0),
    }
    motion = motion_of(arrays() | own)
    assert motion.format.face is ARKIT_51
    assert motion.format.hand_reference is HandReference.FLAT
    assert motion.format.clock == FrameClock(24000, 15)
    assert motion.poses.first == 7
    assert motion.poses.flags[3] == FrameFlag.HELD | FrameFlag.IDLE
    assert motion.poses.contacts.min() == 1


def _with_nan(key: str) -> dict[str, Any]:
    values = arrays()[key]
    values[2, 1] = np.nan
    return {key: values}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poses": np.zeros((4, 164))}, r"poses must be \[4, 165\], got \[4, 164\]"),
        ({"poses": np.zeros(())}, r"poses must be"),
        ({"poses": np.zeros((4, 165), int)}, "floating-point"),
        ({"trans": np.zeros((3, 3))}, r"trans must be \[4, 3\], got \[3, 3\]"),
        ({"expressions": np.zeros((4, 5))}, "flame100 has 100 coefficients, the clip has 5"),
        ({"expressions": np.zeros(4)}, r"expressions must be \[4, E\]"),
        (_with_nan("poses"), "poses holds NaN .* frame 2"),
        (_with_nan("trans"), "trans holds NaN"),
        (_with_nan("expressions"), "expressions holds NaN"),
        ({"mocap_frame_rate": np.array(0)}, "frame_rate"),
        ({"mocap_frame_rate": np.array(29.97)}, "29.97"),
        ({"mocap_frame_rate": np.array([30, 30])}, "not a motion clip"),
        ({"face_basis": np.array("other")}, "face basis"),
        ({"hand_reference": np.array("glove")}, "glove"),
        ({"flags": np.array([1])}, "flags"),
    ],
)
def test_invalid_tracks_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ClipError, match=message):
        motion_of(arrays() | change)


@pytest.mark.parametrize("key", ["poses", "trans", "expressions", "mocap_frame_rate"])
def test_a_missing_key_is_refused(key: str) -> None:
    data = arrays()
    del data[key]
    with pytest.raises(ClipError, match=f"expected the key '{key}'"):
        check_tracks(data)


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04broken"])
def test_files_that_are_not_archives_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClipError, match=r"cannot read .*a\.npz"):
        read_arrays(path)


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(ClipError, match="cannot read"):
        read_arrays(tmp_path / "a.npz")


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", poses=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ClipError, match="cannot read"):
        read_arrays(tmp_path / "a.npz")
