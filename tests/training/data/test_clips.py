import json
from dataclasses import replace

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.errors import ConfigError
from engine.motion.face_basis import FLAME_100
from engine.motion.pose import HandReference, Motion, PoseFormat
from tests.support.training_fixtures import waving
from training.data.clips import ARRAYS, load_clip, save_clip, write_json


def test_clip_round_trip(tmp_path):
    motion = Motion(PoseFormat(clock=FrameClock(frame_rate=24)), waving(1, 5).poses)
    save_clip(tmp_path / "a.npz", motion, {"name": "ä", "times": [0.5]})
    back, meta = load_clip(tmp_path / "a.npz")
    assert meta == {"name": "ä", "times": [0.5]}
    assert back.format.clock.frame_rate == 24
    for name in ARRAYS:
        kept = getattr(back.poses, name)
        assert kept.dtype == np.float32
        np.testing.assert_array_equal(kept, getattr(motion.poses, name))


def test_face_basis_and_hand_reference_are_stored(tmp_path):
    poses = replace(waving(1, 5).poses, face=np.ones((5, 100), np.float32))
    fmt = PoseFormat(face=FLAME_100, hand_reference=HandReference.SMPLX_MEAN)
    save_clip(tmp_path / "a.npz", Motion(fmt, poses), {})
    assert load_clip(tmp_path / "a.npz")[0].format == fmt
    save_clip(tmp_path / "b.npz", Motion(PoseFormat(), poses), {})
    with pytest.raises(ConfigError, match=r"b\.npz: expected 51 .* got 100"):
        load_clip(tmp_path / "b.npz")


def test_extra_keys_and_missing_metadata_are_accepted(tmp_path):
    poses = waving(1, 3).poses
    arrays = {name: getattr(poses, name).astype(np.float64) for name in ARRAYS}
    np.savez(tmp_path / "a.npz", **arrays, fps=30, audio=np.zeros(9))
    motion, meta = load_clip(tmp_path / "a.npz")
    assert meta == {}
    assert motion.poses.face.dtype == np.float32


@pytest.mark.parametrize("missing", [*ARRAYS, "fps"])
def test_missing_key_is_named(tmp_path, missing):
    arrays = {name: np.zeros(1) for name in (*ARRAYS, "fps") if name != missing}
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(ConfigError, match=rf"b\.npz.*'{missing}'"):
        load_clip(tmp_path / "b.npz")


def test_failed_write_keeps_the_old_file(tmp_path):
    save_clip(tmp_path / "a.npz", waving(1, 3), {"name": "old"})
    with pytest.raises(TypeError):
        save_clip(tmp_path / "a.npz", waving(2, 3), {"name": object()})
    assert load_clip(tmp_path / "a.npz")[1] == {"name": "old"}
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", [object()])
    assert json.loads((tmp_path / "a.json").read_text()) == [1]


def test_partial_files_have_another_suffix(tmp_path, monkeypatch):
    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="space"):
        save_clip(tmp_path / "a.npz", waving(1, 3), {})
    assert not list(tmp_path.glob("*.npz"))
