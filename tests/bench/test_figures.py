import numpy as np
import pytest

from engine import rotation as rot
from engine.pose import Motion, PoseChunk, PoseFormat

pytest.importorskip("matplotlib")
from bench.figures import (
    contact_sheet,
    film_strip,
    wrists_over_speech,
    wrists_over_stresses,
)


@pytest.fixture
def motion():
    arrays = [np.zeros((4, n), np.float32) for n in (3, 4, 51)]
    arrays[0][:, 1] = 1.28
    return Motion(PoseFormat(), PoseChunk(0, rot.identity(4, 55), *arrays))


def _is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 2000


def test_a_sheet_has_a_row_of_front_and_side(tmp_path, motion):
    contact_sheet(tmp_path / "deep" / "a.png", [("rest", motion, 0), ("end", motion, 3)], columns=2)
    assert _is_picture(tmp_path / "deep" / "a.png")


def test_a_strip_shows_frames_of_one_motion(tmp_path, motion):
    film_strip(tmp_path / "b.png", motion, [0, 3])
    assert _is_picture(tmp_path / "b.png")


def test_wrists_are_drawn_over_speech(tmp_path, motion):
    wrists_over_speech(tmp_path / "c.png", motion, np.zeros(2000, np.float32), 16000)
    assert _is_picture(tmp_path / "c.png")


def test_the_palm_of_a_figure_at_rest_faces_down(motion):
    from bench.figures import _palm

    names = motion.format.skeleton.joint_names
    for side in ("left", "right"):
        start, end = _palm(motion.world_positions()[0], names, side)
        assert end[1] < start[1] - 0.05


def test_wrists_over_stresses_is_written(tmp_path):
    points = np.zeros((60, 55, 3), np.float32)
    path = tmp_path / "strokes.png"
    wrists_over_stresses(path, [("a take", points, np.array([0.5, 1.0]))], 30.0)
    assert _is_picture(path)
