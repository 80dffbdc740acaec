"""BEAT2 motion files: lossless round trip, conversion, errors."""

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ClipError, ConfigError
from engine.motion.face_basis import ARKIT_51, FLAME_100
from engine.motion.pose import HandReference, Motion
from engine.motion.rotation import angle, exp
from engine.motion.skeleton import CONTACT_JOINTS, SMPLX_55
from tests.support.motion_writers import from_motion, write_beat2
from training.sources.beat2 import Beat2Clip, read_beat2, to_motion


def clip(frames: int = 6, seed: int = 0) -> Beat2Clip:
    """Arrays of the types that the data set has, with large and tiny turns."""
    random = np.random.default_rng(seed)
    turns = random.standard_normal((frames, 55, 3))
    turns *= random.uniform(0, 3.1, (frames, 55, 1)) / np.linalg.norm(turns, axis=-1, keepdims=True)
    turns[:, 5] *= 1e-6
    turns[:, 6] = 0
    return Beat2Clip(
        betas=random.standard_normal(300).astype(np.float32),
        poses=np.asfortranarray(turns.reshape(frames, 165).astype(np.float32)),
        expressions=np.asfortranarray(random.standard_normal((frames, 100))),
        trans=np.asfortranarray(random.standard_normal((frames, 3))),
        model=np.array("smplx2020"),
        gender=np.array("neutral"),
        mocap_frame_rate=np.array(30, np.int32),
    )


def same(a: Beat2Clip, b: Beat2Clip) -> bool:
    pairs = zip(a.arrays().values(), b.arrays().values(), strict=True)
    return all((x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes()) for x, y in pairs)


def test_a_clip_is_written_back_identical(tmp_path: Path) -> None:
    made = clip()
    write_beat2(tmp_path / "a.npz", made)
    back = read_beat2(tmp_path / "a.npz")
    assert same(made, back)
    assert back.trans.dtype == np.float64
    write_beat2(tmp_path / "b.npz", back)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_the_motion_turns_as_the_clip_and_comes_back() -> None:
    made = clip()
    motion = to_motion(made)
    assert motion.format.face is FLAME_100
    assert motion.format.hand_reference is HandReference.SMPLX_MEAN
    turns = made.poses.astype(np.float64).reshape(6, 55, 3)
    assert angle(exp(turns), motion.poses.rotations.astype(np.float64)).max() < 1e-6
    back = from_motion(motion, made.betas)
    again = exp(back.poses.astype(np.float64).reshape(6, 55, 3))
    assert angle(exp(turns), again).max() < 1e-6
    assert np.abs(back.trans - made.trans).max() < 1e-6
    for name in ("betas", "model", "gender", "mocap_frame_rate"):
        ours, theirs = getattr(back, name), getattr(made, name)
        assert (ours.dtype, ours.tobytes()) == (theirs.dtype, theirs.tobytes())
    assert {n: a.dtype for n, a in back.arrays().items()} == {
        n: a.dtype for n, a in made.arrays().items()
    }


def test_contacts_are_found() -> None:
    made = clip()
    still = replace(made, poses=np.zeros((6, 165), np.float32), trans=np.zeros((6, 3)))
    assert to_motion(still).poses.contacts.min() == 1
    moved = still.trans.copy()
    moved[:, 0] = 0.02 * np.arange(6)
    walking = replace(still, trans=moved)
    assert not to_motion(walking).poses.contacts[:-1].any()
    # The same speed of 0.6 m/s, recorded at 15 frames a second: also no contact; half of it: yes.
    slow = replace(walking, mocap_frame_rate=np.array(15, np.int32))
    assert to_motion(slow).poses.contacts.min() == 0
    assert to_motion(replace(slow, trans=0.9 * moved)).poses.contacts.min() == 1


def test_other_formats_are_not_written_as_beat2() -> None:
    motion = to_motion(clip())
    for change in ({"face": ARKIT_51}, {"hand_reference": HandReference.FLAT}):
        with pytest.raises(ConfigError, match="BEAT2"):
            from_motion(Motion(replace(motion.format, **change), motion.poses))
    names = tuple(reversed(SMPLX_55.joint_names))
    other = replace(motion.format, skeleton=replace(SMPLX_55, joint_names=names))
    with pytest.raises(ConfigError, match="retarget"):
        from_motion(Motion(other, motion.poses))


@pytest.mark.parametrize("key", [*clip(1).arrays()])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    arrays = clip().arrays()
    del arrays[key]
    np.savez(tmp_path / "take.npz", **arrays)
    with pytest.raises(ClipError, match=rf"take\.npz: expected the key '{key}'"):
        read_beat2(tmp_path / "take.npz")


def _nan(array: Any) -> Any:
    bad = array.copy()
    bad[1, 2] = np.nan
    return bad


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"poses": clip().poses[:, :-3]}, r"poses must be \[6, 165\], got \[6, 162\]"),
        ({"trans": clip().trans[:4]}, r"trans must be \[6, 3\], got \[4, 3\]"),
        ({"expressions": clip().expressions[:, :50]}, r"expressions must be \[6, 100\]"),
        ({"betas": np.zeros(16, np.float32)}, r"betas must be \[300\], got \[16\]"),
        ({"betas": np.full(300, np.inf)}, "betas must hold finite"),
        ({"poses": _nan(clip().poses)}, "poses holds NaN .* frame 1"),
        ({"expressions": _nan(clip().expressions)}, "expressions holds NaN"),
        ({"trans": _nan(clip().trans)}, "trans holds NaN"),
        ({"mocap_frame_rate": np.array([30, 30])}, ".* must be single values"),
    ],
)
def test_each_kind_of_mistake_is_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "take.npz", **(clip().arrays() | change))
    with pytest.raises(ClipError, match=rf"take\.npz: {says}"):
        read_beat2(tmp_path / "take.npz")


def test_a_clip_has_frames(tmp_path: Path) -> None:
    whole = clip().arrays()
    none = {name: whole[name][:0] for name in ("poses", "trans", "expressions")}
    np.savez(tmp_path / "take.npz", **(whole | none))
    with pytest.raises(ClipError, match="empty"):
        read_beat2(tmp_path / "take.npz")


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "take.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ClipError, match=r"take\.npz"):
        read_beat2(tmp_path / "take.npz")
    with pytest.raises(ClipError, match="No such file"):
        read_beat2(tmp_path / "missing.npz")


def members(path: Path) -> dict[str, bytes]:
    """Each array's file within an archive; the archive's own dates and versions are left out."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.reference
def test_the_real_take_is_written_back_identical(shared_dir: Path, tmp_path: Path) -> None:
    path = shared_dir / "data" / "beat2" / "2_scott_0_1_1.npz"
    take = read_beat2(path)
    write_beat2(tmp_path / "back.npz", take)
    assert members(tmp_path / "back.npz") == members(path)
    assert same(take, read_beat2(tmp_path / "back.npz"))


@pytest.mark.reference
def test_the_real_take_moves_as_it_should(shared_dir: Path) -> None:
    take = read_beat2(shared_dir / "data" / "beat2" / "2_scott_0_1_1.npz")
    motion = to_motion(take)
    turns = exp(take.poses.astype(np.float64).reshape(len(take), 55, 3))
    again = exp(from_motion(motion).poses.astype(np.float64).reshape(len(take), 55, 3))
    assert angle(turns, again).max() < 1e-6
    points = motion.world_positions()
    wrists = points[:, [SMPLX_55.index("left_wrist"), SMPLX_55.index("right_wrist")]]
    speed = np.linalg.norm(np.diff(wrists, axis=0), axis=-1) * motion.format.clock.frame_rate
    assert 0.50 <= speed.mean() <= 0.56
    # The floor lies at zero and the feet mostly stand on it.
    assert abs(np.median(points[:, list(CONTACT_JOINTS), 1].min(1))) < 0.03
    assert 0.8 < motion.poses.contacts.mean() < 0.95
