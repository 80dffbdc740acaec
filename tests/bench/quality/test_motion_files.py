from pathlib import Path

import numpy as np
import pytest

from bench.quality.motion_files import motion_files, read_motion, sound_files, take_name, word_files
from engine.errors import ClipError, ConfigError, GestureError
from engine.events import EventCounter
from engine.motion.face_basis import ARKIT_51, FLAME_100
from exporters.npz import NpzSink
from tests.support.motion_writers import write_beat2
from tests.support.training_fixtures import waving
from training.data.clips import save_clip
from training.sources.beat2 import Beat2Clip


def test_every_kind_of_motion_is_read(tmp_path: Path) -> None:
    motion = waving(1, 5)
    save_clip(tmp_path / "clip.npz", motion, {})
    sink = NpzSink(tmp_path / "ours.npz", events=EventCounter())
    sink.open(motion.format)
    for frame in motion.poses.frames(motion.format.clock):
        sink.send(frame)
    sink.close()
    text = np.array("x")
    tracks = np.zeros((5, 165), np.float32), np.zeros((5, 100)), np.zeros((5, 3))
    clip = Beat2Clip(np.zeros(300), *tracks, text, text, np.array(30))
    write_beat2(tmp_path / "beat.npz", clip)
    read = {name: read_motion(tmp_path / f"{name}.npz") for name in ("clip", "ours", "beat")}
    assert [len(m) for m in read.values()] == [5, 5, 5]
    assert read["ours"].format.face == read["clip"].format.face == ARKIT_51
    assert read["beat"].format.face is FLAME_100
    np.testing.assert_allclose(
        read["ours"].world_positions(), read["clip"].world_positions(), atol=1e-5
    )


def test_a_file_without_motion_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"?")
    with pytest.raises(ClipError, match=r"a\.npz"):
        read_motion(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", rotations=np.zeros(3))
    with pytest.raises(GestureError, match=r"b\.npz"):
        read_motion(tmp_path / "b.npz")


def test_takes_are_found_by_name(tmp_path: Path) -> None:
    for name in ("res_a", "gt_a", "b", ".c"):
        (tmp_path / f"{name}.npz").touch()
    assert take_name(Path("res_2_scott.npz")) == take_name(Path("2_scott.npz")) == "2_scott"
    assert set(motion_files(tmp_path)) == {"a", "b"}
    assert motion_files(tmp_path, "res_") == {"a": tmp_path / "res_a.npz"}
    assert motion_files(tmp_path, "gt_") == {"a": tmp_path / "gt_a.npz"}
    assert motion_files(tmp_path / "gt_a.npz") == {"a": tmp_path / "gt_a.npz"}


def test_the_official_folders_are_searched(tmp_path: Path) -> None:
    files = {"smplxflame_30/a.npz", "wave16k/a.wav", "textgrid/a.TextGrid", "a.tsv"}
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert motion_files(tmp_path) == {"a": tmp_path / "smplxflame_30" / "a.npz"}
    assert sound_files(tmp_path) == {"a": tmp_path / "wave16k" / "a.wav"}
    assert word_files(tmp_path) == {"a": tmp_path / "a.tsv"}


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="no motion"):
            motion_files(place)
