"""WindowSpec and WindowSlice: positions of frames and batches of inputs."""

import numpy as np
import pytest

from engine.clock import FrameClock
from engine.generate.schedule import Schedule
from engine.generate.window import WindowSpec, window_slices

SILENCE = np.zeros(5, np.float32)


def test_the_layout_places_seed_and_new_frames_before_the_lookahead() -> None:
    layout = WindowSpec(Schedule(24, 16, 3, 2), FrameClock(), SILENCE, 51).layout
    assert (layout.frames, layout.sampled) == (24, 5)
    assert (layout.seed, layout.new) == (slice(3, 19), slice(19, 22))


@pytest.mark.parametrize(("seconds", "share"), [(0.0, 0.0), (20.0, 1 / 600)])
def test_recentering_removes_a_share_per_frame(seconds: float, share: float) -> None:
    spec = WindowSpec(Schedule(24, 16, 2), FrameClock(), SILENCE, 51, recenter_time_s=seconds)
    assert spec.recenter_share == pytest.approx(share)


def test_batches_become_one_slice_per_stream() -> None:
    audio, words = np.arange(20.0).reshape(2, 2, 5), np.arange(48).reshape(2, 24)
    first, second = window_slices(audio, words, 2)
    np.testing.assert_array_equal(second.audio, audio[1])
    np.testing.assert_array_equal(first.words, words[0])
    assert first.voiced == (True, True)
