import dataclasses

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.errors import ShapeError
from engine.motion.pose import FrameFlag, Motion, PoseChunk, PoseFormat, concatenate
from engine.motion.rotation import identity
from engine.motion.skeleton import SMPLX_55


def chunk(first: int = 0, frames: int = 3, flags: tuple[FrameFlag, ...] = ()) -> PoseChunk:
    count = np.arange(first, first + frames, dtype=np.float32)
    return PoseChunk(
        first,
        rotations=identity(frames, 55),
        translation=np.stack([count, 0 * count, 0 * count], -1),
        contacts=np.zeros((frames, 4), np.float32),
        face=np.zeros((frames, 51), np.float32),
        flags=flags,
    )


def test_frames_carry_their_index_sample_and_flags() -> None:
    flags = (FrameFlag.NONE, FrameFlag.IDLE, FrameFlag.HELD)
    frames = list(chunk(100, 3, flags).frames(FrameClock()))
    assert [f.index for f in frames] == [100, 101, 102]
    assert [f.sample for f in frames] == [100 * 16000 // 30, 101 * 16000 // 30, 54400]
    assert tuple(f.flags for f in frames) == flags
    assert [f.translation[0] for f in frames] == [100, 101, 102]


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("rotations", (3, 55, 3), r"rotations must be \[T, J, 4\], got \(3, 55, 3\)"),
        ("rotations", (3, 4), r"rotations must be \[T, J, 4\]"),
        ("translation", (2, 3), r"translation must be \(3, 3\), got \(2, 3\)"),
        ("contacts", (3, 2), r"contacts must be \(3, 4\)"),
        ("face", (51,), r"face must be \[3, E\]"),
    ],
)
def test_a_wrong_shape_is_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        dataclasses.replace(chunk(), **{name: np.zeros(shape, np.float32)})


def test_flags_are_empty_or_one_per_frame() -> None:
    with pytest.raises(ShapeError, match="flags must be empty or 3 long, got 2"):
        chunk(flags=(FrameFlag.NONE, FrameFlag.HELD))


def test_concatenated_chunks_are_contiguous() -> None:
    joined = concatenate([chunk(5, 2), chunk(7, 3, (FrameFlag.HELD,) * 3)])
    assert joined.first == 5
    np.testing.assert_array_equal(joined.translation[:, 0], [5, 6, 7, 8, 9])
    assert joined.flags == (FrameFlag.NONE,) * 2 + (FrameFlag.HELD,) * 3


@pytest.mark.parametrize("second", [6, 8])
def test_a_gap_or_overlap_is_refused(second: int) -> None:
    with pytest.raises(ShapeError, match=f"beginning at frame 7, got {second}"):
        concatenate([chunk(5, 2), chunk(second)])
    with pytest.raises(ShapeError, match="nothing to concatenate"):
        concatenate([])


def test_before_cuts_a_chunk() -> None:
    whole = chunk(4, 3)
    assert whole.before(4) is None
    cut = whole.before(6)
    assert cut is not None
    assert (cut.first, len(cut)) == (4, 2)
    np.testing.assert_array_equal(cut.translation, whole.translation[:2])
    assert len(whole.before(99) or ()) == 3


def test_world_positions_of_the_rest_pose_follow_the_translation() -> None:
    positions = Motion(PoseFormat(), chunk(0, 2)).world_positions()
    assert positions.shape == (2, 55, 3)
    np.testing.assert_allclose(positions[0, 0], SMPLX_55.offsets[0], atol=1e-7)
    moved = positions[1] - positions[0]
    np.testing.assert_allclose(moved, np.tile([1.0, 0.0, 0.0], (55, 1)), atol=1e-6)
