import numpy as np
import pytest

from bench.plots.figures import (
    contact_sheet,
    distributions,
    speeds_over_time,
    strips,
    wrists_over_speech,
    wrists_over_stresses,
)
from engine.motion import rotation as rot
from engine.motion.pose import Motion, PoseChunk, PoseFormat

pytestmark = pytest.mark.matplotlib


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


def test_wrists_are_drawn_over_speech(tmp_path, motion):
    wrists_over_speech(tmp_path / "c.png", motion, np.zeros(2000, np.float32), 16000)
    assert _is_picture(tmp_path / "c.png")


def test_the_palm_of_a_figure_at_rest_faces_down(motion):
    from bench.plots.figures import _palm

    names = motion.format.skeleton.joint_names
    for side in ("left", "right"):
        start, end = _palm(motion.world_positions()[0], names, side)
        assert end[1] < start[1] - 0.05


def test_wrists_over_stresses_is_written(tmp_path):
    points = np.zeros((60, 55, 3), np.float32)
    path = tmp_path / "strokes.png"
    wrists_over_stresses(path, [("a take", points, np.array([0.5, 1.0]))], 30.0)
    assert _is_picture(path)


def test_strips_show_several_motions(motion):
    png = strips([("made", motion), ("true", motion)], [0, 1, 3])
    assert png.startswith(b"\x89PNG")


def test_speeds_are_drawn_over_time():
    speed = np.abs(np.sin(np.arange(90) / 9))
    one = speeds_over_time([("made", speed)], 30.0, None, seconds=2.0)
    two = speeds_over_time([("made", speed), ("true", 2 * speed)], 30.0, np.arange(90) > 30)
    assert one.startswith(b"\x89PNG")
    assert one != two


def test_distributions_are_drawn_even_of_one_value():
    panel = ("speed (m/s)", [("made", np.zeros(9)), ("true", np.zeros(4))])
    spread = ("height (m)", [("made", np.arange(9.0)), ("true", np.arange(4.0))])
    assert distributions([panel, spread]).startswith(b"\x89PNG")
