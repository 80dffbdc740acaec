"""Contact sheets: strokes are at raised arms; files and clips are drawn."""

import json
import sys

import numpy as np
import pytest

from bench.__main__ import main
from bench.plots.contact_sheet import bvh_sheet, clip_sheet, stroke_frames
from engine.errors import ConfigError
from engine.motion import rotation as rot
from engine.motion.pose import Motion, PoseChunk, PoseFormat
from engine.motion.skeleton import SMPLX_55
from tests.support.foreign_skeletons import foreign_figure
from tests.support.motion_writers import bvh_of, write_bvh
from training.data.clips import save_clip


def raising(frames=90):
    """Hanging arms; the right one is raised at 0.5 s and the left one at 2 s."""
    rotations = rot.identity(frames, 55)
    for side, sign, at in (("left", -1, 60), ("right", 1, 15)):
        near = np.exp(-0.5 * ((np.arange(frames) - at) / 5) ** 2)
        turn = np.zeros((frames, 3))
        turn[:, 2] = sign * np.radians(70 - 60 * near)
        rotations[:, SMPLX_55.index(f"{side}_shoulder")] = rot.exp(turn)
    rows = [np.zeros((frames, n), np.float32) for n in (3, 4, 51)]
    rows[0][:, 1] = 1.28
    return Motion(PoseFormat(), PoseChunk(0, rotations.astype(np.float32), *rows))


def test_strokes_are_where_arms_are_raised():
    assert stroke_frames(raising(), 2) == [15, 60]
    assert len(stroke_frames(raising(), 9)) < 9


@pytest.mark.matplotlib
def test_files_are_drawn_beside_their_retargeted_motion(tmp_path):
    for name in ("trinity", "seg"):
        write_bvh(tmp_path / f"{name}.bvh", bvh_of(foreign_figure(raising(), name)))
    paths = sorted(tmp_path.glob("*.bvh"))
    report = bvh_sheet(paths, tmp_path / "sheet.png", "auto", 2)
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert [entry["skeleton"] for entry in report.values()] == ["seg", "trinity"]
    assert all("cm, guessed" in entry["unit"] for entry in report.values())
    assert any(line.startswith("palm_deg") for line in report["seg.bvh"]["numbers"])


@pytest.mark.matplotlib
def test_clips_are_drawn_at_their_stroke(tmp_path):
    (tmp_path / "clips").mkdir()
    save_clip(tmp_path / "clips" / "a.npz", raising(), {"times": {"emphasis": 0.5}})
    save_clip(tmp_path / "clips" / "b.npz", raising(), {})
    report = clip_sheet(tmp_path, tmp_path / "sheet.png", [])
    assert sorted(report) == ["a", "b"]
    assert (tmp_path / "sheet.png").stat().st_size > 2000
    assert sorted(clip_sheet(tmp_path, tmp_path / "sheet.png", ["b"])) == ["b"]
    with pytest.raises(ConfigError, match=r"no clips .* \['none'\]"):
        clip_sheet(tmp_path, tmp_path / "sheet.png", ["none"])


@pytest.mark.matplotlib
def test_the_command_draws_and_prints(tmp_path, capsys):
    path, out = tmp_path / "seg.bvh", tmp_path / "a.png"
    write_bvh(path, bvh_of(foreign_figure(raising(), "seg")))
    assert main(["contact-sheet", str(path), "--out", str(out), "--strokes", "1"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["report"]["seg.bvh"]["skeleton"] == "seg"
    assert out.is_file()
    (tmp_path / "clips").mkdir()
    save_clip(tmp_path / "clips" / "a.npz", raising(), {})
    assert main(["contact-sheet", str(tmp_path / "clips"), "--out", str(out)]) == 0
    assert main(["contact-sheet", str(path), "--rest-frame", "999", "--out", str(out)]) == 2
    assert "expected a rest frame of 0 to 89" in capsys.readouterr().err


def test_without_matplotlib_the_command_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_bvh(tmp_path / "seg.bvh", bvh_of(foreign_figure(raising(), "seg")))
    out = tmp_path / "a.png"
    assert (
        main(["contact-sheet", str(tmp_path / "seg.bvh"), "--out", str(out), "--strokes", "1"]) == 2
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: figures need matplotlib, ")
    assert line.endswith("pip install matplotlib")
    assert not out.exists()
