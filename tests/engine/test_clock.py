import numpy as np
import pytest

from engine.clock import FrameClock
from engine.errors import ConfigError

TEN_HOURS = 10 * 3600
CLOCKS = [FrameClock(), FrameClock(16000, 60), FrameClock(48000, 25), FrameClock(44100, 30)]


def test_ten_hours_have_no_drift() -> None:
    clock = FrameClock()
    first = np.array([clock.first_sample(k) for k in range(TEN_HOURS * 30 + 1)])
    assert first[-1] == TEN_HOURS * 16000
    np.testing.assert_array_equal(first, np.arange(len(first)) * 16000 // 30)
    assert set(np.diff(first)) == {533, 534}


@pytest.mark.parametrize("clock", CLOCKS, ids=str)
@pytest.mark.parametrize("frame", [0, 1, 2, 29, 30, 31, 1_079_999])
def test_a_frame_contains_its_first_sample_and_not_the_one_before(
    clock: FrameClock, frame: int
) -> None:
    first = clock.first_sample(frame)
    assert clock.frame_at(first) == frame
    assert clock.frame_at(first - 1) == frame - 1


@pytest.mark.parametrize("clock", CLOCKS, ids=str)
def test_a_frame_is_complete_with_its_last_sample(clock: FrameClock) -> None:
    for frame in (0, 1, 7, 100, 123_456):
        end = clock.first_sample(frame + 1)
        assert clock.frames_complete(end) == frame + 1
        assert clock.frames_complete(end - 1) == frame


def test_frames_before_the_stream_have_negative_samples() -> None:
    assert FrameClock().first_sample(-1) == -534
    assert FrameClock().frame_at(-1) == -1


def test_times_convert_to_frames_and_back() -> None:
    clock = FrameClock()
    assert clock.time_s(30) == 1.0
    assert clock.frame_at_time(1.0) == 30
    assert clock.frame_at_time(0.0333) == 0
    assert clock.frame_at_time(TEN_HOURS + 0.5) == TEN_HOURS * 30 + 15


@pytest.mark.parametrize(("rate", "frames"), [(16000, 0), (16000, -30), (20, 30)])
def test_rates_out_of_range_are_refused(rate: int, frames: int) -> None:
    with pytest.raises(ConfigError, match="1 <= frame_rate <= sample_rate"):
        FrameClock(rate, frames)
