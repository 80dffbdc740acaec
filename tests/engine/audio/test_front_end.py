import numpy as np
import pytest

from engine.audio.front_end import (
    WAVE_STEP,
    FeatureQueue,
    SampleGrid,
    build_front_end,
    sliding_maximum,
)
from engine.clock import FrameClock
from engine.config.features import DEFAULT_FEATURES
from engine.config.model import FrontEnd
from tests.support.audio import babble
from tests.support.laws import reset_law, snapshot_law, split_law

CLOCK = FrameClock()
KINDS = list(FrontEnd)


def front(kind: FrontEnd, truncated: bool = False):
    return build_front_end(kind, DEFAULT_FEATURES, CLOCK, truncated=truncated)


@pytest.mark.parametrize("kind", KINDS)
def test_the_streaming_laws(kind: FrontEnd) -> None:
    sound = babble(0.8)
    entries = split_law(front(kind), sound)
    assert entries.shape[1] == front(kind).width == len(front(kind).silence)
    snapshot_law(front(kind), sound, (0, 533, 7000))
    if kind is not FrontEnd.WAVE:  # stateless
        reset_law(front(kind), sound)


@pytest.mark.parametrize("kind", KINDS)
def test_finish_supplies_the_remaining_rows(kind: FrontEnd) -> None:
    sound = babble(1.0)
    piece = front(kind)
    given = len(piece.feed(sound))
    if kind is not FrontEnd.FEATURES:
        assert given == len(sound) - piece.delay
    assert given + len(piece.finish()) >= piece.frame_start(30)


def test_frame_ends_follow_the_clock_or_are_truncated() -> None:
    grid, cut = SampleGrid(CLOCK, truncated=False), SampleGrid(CLOCK, truncated=True)
    assert [grid.frame_start(f) for f in (0, 1, 3, 30)] == [0, 533, 1600, 16000]
    assert [cut.frame_start(f) for f in (0, 1, 3, 30)] == [0, 533, 1599, 15990]
    assert grid.window_length(64) == cut.window_length(64) == 34112


def test_live_windows_of_samples_end_on_their_grid() -> None:
    live, whole = front(FrontEnd.WAVE), SampleGrid(CLOCK, truncated=True, step=WAVE_STEP)
    frames = (0, 1, 2, 3, 30)
    assert [live.frame_start(f) for f in frames] == [0, 533, 1066, 1600, 16000]
    assert [live.window_end(f) for f in frames] == [0, 510, 1050, 1590, 15990]
    assert [whole.window_end(f) for f in frames] == [whole.frame_start(f) for f in frames]
    for kind in (FrontEnd.FEATURES, FrontEnd.RHYTHM):
        assert [front(kind).window_end(f) for f in frames] == [
            front(kind).frame_start(f) for f in frames
        ]


def test_amplitude_is_the_largest_of_the_next_samples() -> None:
    sound = babble(0.5)
    piece = front(FrontEnd.RHYTHM)
    entries = np.concatenate([piece.feed(sound), piece.finish()])
    assert entries.shape == (8000, 2)
    for k in (0, 1, 500, 8000 - 1024):
        assert entries[k, 0] == np.abs(sound[k : k + 1024]).max()
    assert (entries[8000 - 1023 :, 0] == entries[8000 - 1024, 0]).all()
    assert set(np.unique(entries[:, 1])) == {0.0, 1.0}


def test_audio_shorter_than_the_span_keeps_its_amplitude() -> None:
    piece = front(FrontEnd.RHYTHM)
    assert len(piece.feed(np.full(100, -0.5, np.float32))) == 0
    assert (piece.finish()[:, 0] == 0.5).all()


def test_sliding_maximum() -> None:
    values = np.array([3, 1, 4, 1, 5, 9, 2], np.float32)
    np.testing.assert_array_equal(sliding_maximum(values, 4), [4, 5, 9, 9])
    np.testing.assert_array_equal(sliding_maximum(values, 1), values)


def test_the_queue_is_fifo_and_can_be_silenced() -> None:
    queue = FeatureQueue(2)
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    queue.push(rows[:2])
    queue.push(rows[2:])
    np.testing.assert_array_equal(queue.take(3), rows[:3])
    assert len(queue) == 2
    queue.silence(np.array([7, 8], np.float32))
    np.testing.assert_array_equal(queue.take(2), [[7, 8], [7, 8]])
    assert queue.take(0).shape == (0, 2)
