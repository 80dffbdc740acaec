"""BVH: known values, errors with line numbers, round trips."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ClipError
from tests.support.motion_writers import bvh_lines, write_bvh
from training.sources.bvh import Bvh, BvhTree, parse_bvh, rate_of, read_bvh

TWO = """HIERARCHY
ROOT Hips
{
  OFFSET 0.0 90.0 0.0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left Leg
  {
    OFFSET 10.0 0.0 0.0
    CHANNELS 3 Xrotation Yposition Zrotation
    End Site
    {
      OFFSET 0.0 -40.0 0.0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0083333
1 2 3 4 5 6 7 8 9
0 0 0 0 0 0 0 0 1e1
"""


def parsed(text: str) -> Bvh:
    return parse_bvh(text.splitlines(), "a.bvh")


def test_a_small_file_is_read_as_it_stands() -> None:
    bvh = parsed(TWO)
    assert bvh.tree.names == ("Hips", "Left Leg")
    assert bvh.tree.parents == (-1, 0)
    np.testing.assert_array_equal(bvh.tree.offsets, [[0, 90, 0], [10, 0, 0]])
    assert bvh.tree.ends == {1: (0.0, -40.0, 0.0)}
    assert bvh.tree.width == 9
    assert bvh.tree.columns(0, "rotation") == ([3, 4, 5], "ZXY")
    assert bvh.tree.columns(1, "rotation") == ([6, 8], "XZ")
    assert bvh.tree.columns(1, "position") == ([7], "Y")
    assert bvh.frame_rate == 120
    np.testing.assert_array_equal(bvh.values, [[1, 2, 3, 4, 5, 6, 7, 8, 9], [0] * 8 + [10]])


def test_form_does_not_matter() -> None:
    packed = TWO.replace("\n{", " {").replace("}\n", "} ").replace("End Site", "End site")
    packed = packed.replace("CHANNELS 3 Xrotation", "CHANNELS 3 XROTATION").replace(
        "} MOTION", "}\nMOTION"
    )
    packed = packed.replace("Frames: 2", "\n\nFrames:\t2.0").replace("Frame Time", "FRAME TIME")
    for text in (packed, TWO.replace("\n", "\r\n\r\n")):
        bvh, plain = parsed(text), parsed(TWO)
        np.testing.assert_array_equal(bvh.values, plain.values)
        assert (bvh.tree.names, bvh.tree.ends) == (plain.tree.names, plain.tree.ends)


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("0.033333", 30),
        ("0.0333333333333", 30),
        ("0.05", 20),
        ("0.050000", 20),
        ("0.008333", 120),
        ("8.333e-3", 120),
        ("0.016667", 60),
        ("1", 1),
        ("0.008342", Fraction(1000000, 8342)),
        ("0.0166833", Fraction(10000000, 166833)),
    ],
)
def test_a_rate_is_whole_where_its_digits_say_so(written: str, rate: Fraction) -> None:
    assert rate_of(written) == rate


@pytest.mark.parametrize("written", ["0", "-0.03", "nan", "inf", "1e-9", "100", "", "30fps"])
def test_other_frame_times_are_refused(written: str) -> None:
    with pytest.raises(ClipError, match="frame"):
        rate_of(written)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("HIERARCHY\n", "", r"line 1: expected HIERARCHY .* got 'ROOT Hips'"),
        (TWO, "", "line 0: expected HIERARCHY .* got the end"),
        ("ROOT Hips", "ROOT", "line 2: expected a name after ROOT"),
        ("ROOT Hips", "JOINT Hips", "line 2: expected ROOT, or JOINT inside"),
        ("  JOINT Left Leg", "ROOT Other", "line 6: expected one ROOT"),
        ("JOINT Left Leg", "JOINT Hips", "line 16: expected joints with different names.*'Hips'"),
        ("JOINT Left Leg", "BONE Left Leg", "line 6: expected ROOT, JOINT.* got 'BONE'"),
        ("OFFSET 10.0 0.0 0.0", "OFFSET 10.0 0.0", "line 8: expected OFFSET and three numbers"),
        ("OFFSET 10.0 0.0 0.0", "OFFSET 10.0 x 0.0", r"line 8: .* got '10\.0 x 0\.0'"),
        ("OFFSET 10.0 0.0 0.0", "OFFSET 10.0 nan 0.0", "line 8: .*three numbers"),
        ("CHANNELS 3 Xr", "CHANNELS 4 Xr", "line 9: expected CHANNELS, their number"),
        ("Yposition Zrotation", "Yposition Wrotation", "line 9: expected different channels"),
        ("Yposition Zrotation", "Yposition Xrotation", "line 9: expected different channels"),
        ("    End Site\n    {", "    End Site\n", "line 12: expected '{'"),
        ("}\nMOTION", "MOTION", "line 15: expected '}' .* 1 still open"),
        ("}\nMOTION", "}\n}\nMOTION", "line 16: expected a joint that is open"),
        (TWO[TWO.index("MOTION") :], "", "line 15: expected MOTION after the joints, got the end"),
        ("Frames: 2", "Frames: 0", "line 17: expected 'Frames:' .*at least one.* got 'Frames: 0'"),
        ("Frames: 2", "Frames: many", "line 17: expected 'Frames:'"),
        ("Frames: 2", "Frames: 99999999999", "line 17: expected 'Frames:'"),
        ("Frame Time: 0.0083333", "1 2 3", "line 18: expected 'Frame Time:'"),
        ("Frame Time: 0.0083333", "Frame Time: 0", "line 18: expected 'Frame Time:'"),
        ("Frames: 2", "Frames: 3", "line 20: expected 3 frames, got the end of the file after 2"),
        ("Frames: 2", "Frames: 1", "line 20: expected the end of the file after 1 frames"),
        ("1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8", "line 19: expected 9 values.* frame 0, got 8"),
        ("1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 9 10", "line 19: expected 9 values.* got 10"),
        ("1 2 3 4", "1 nan 3 4", "line 19: expected finite numbers in frame 0"),
        ("0 1e1", "0 1e999", "line 20: expected finite numbers in frame 1"),
        ("1 2 3 4", "1 two 3 4", "line 19: expected the numbers of frame 0, got 'two'"),
        ("0 1e1\n", "0", "line 20: expected 9 values"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_by_its_line(old: str, new: str, says: str) -> None:
    assert old in TWO
    with pytest.raises(ClipError, match=rf"a\.bvh, {says}"):
        parsed(TWO.replace(old, new, 1))


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"none\.bvh as BVH: No such file"):
        read_bvh(tmp_path / "none.bvh")
    (tmp_path / "x.bvh").write_bytes(bytes(range(256)))
    with pytest.raises(ClipError, match="expected HIERARCHY"):
        read_bvh(tmp_path / "x.bvh")


def test_reading_asks_for_each_line_once() -> None:
    """Reading streams the file: every line is read once."""
    count = 0

    def lines():
        nonlocal count
        head, _, _ = TWO.partition("Frames")
        yield from [*head.splitlines(), "Frames: 5000", "Frame Time: 0.01"]
        for _ in range(5000):
            count += 1
            yield "1 2 3 4 5 6 7 8 9"

    assert len(parse_bvh(lines())) == count == 5000


def test_joints_in_another_order_are_written_branch_by_branch() -> None:
    """Levels as in SMPL-X: both hips before both knees."""
    tree = BvhTree(
        names=("root", "a", "b", "a2"),
        parents=(-1, 0, 0, 1),
        offsets=np.arange(12.0).reshape(4, 3),
        channels=(("Xposition",), ("Xrotation",), ("Yrotation", "Zrotation"), ("Xrotation",)),
        ends={},
    )
    back = parse_bvh(bvh_lines(Bvh(tree, Fraction(30), np.array([[1.0, 2, 3, 4, 5]]))))
    assert back.tree.names == ("root", "a", "a2", "b")
    np.testing.assert_array_equal(back.values, [[1, 2, 5, 3, 4]])
    np.testing.assert_array_equal(back.tree.offsets, tree.offsets[[0, 1, 3, 2]])


CHANNEL = st.sampled_from(
    ["Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation"]
)


@st.composite
def files(draw: st.DrawFn) -> Bvh:
    """Random trees with joints in depth-first order, as in a file."""
    count = draw(st.integers(1, 6))
    parents, branch = [-1], [0]
    for joint in range(1, count):
        branch = branch[: draw(st.integers(1, len(branch)))]
        parents.append(branch[-1])
        branch.append(joint)
    number = st.floats(-1000, 1000).map(lambda x: round(x, 6))
    channels = tuple(tuple(draw(st.lists(CHANNEL, unique=True, max_size=6))) for _ in range(count))
    width = sum(len(names) for names in channels)
    leaves = set(range(count)) - set(parents)
    rows = draw(st.integers(1, 3))
    return Bvh(
        BvhTree(
            tuple(f"joint {j}" for j in range(count)),
            tuple(parents),
            np.array([[draw(number) for _ in range(3)] for _ in range(count)]),
            channels,
            {j: (draw(number), 0.0, 0.0) for j in leaves},
        ),
        Fraction(draw(st.sampled_from([15, 20, 24, 25, 30, 60, 100, 120]))),
        np.array([[draw(number) for _ in range(width)] for _ in range(rows)]).reshape(rows, width),
    )


@settings(max_examples=60, deadline=None)
@given(files())
def test_what_was_written_is_read_back(bvh: Bvh) -> None:
    if not bvh.tree.width:
        return  # a frame without a value is an empty line, which is no frame
    back = parse_bvh(bvh_lines(bvh))
    assert back.tree.names == bvh.tree.names
    assert back.tree.parents == bvh.tree.parents
    assert back.tree.channels == bvh.tree.channels
    assert back.tree.ends == bvh.tree.ends
    assert back.frame_rate == bvh.frame_rate
    np.testing.assert_allclose(back.tree.offsets, bvh.tree.offsets, atol=1e-6)
    np.testing.assert_allclose(back.values, bvh.values, atol=1e-6)


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    bvh = parsed(TWO)
    write_bvh(tmp_path / "a.bvh", bvh)
    np.testing.assert_array_equal(read_bvh(tmp_path / "a.bvh").values, bvh.values)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bvh"]
