import math

import numpy as np
import pytest

from engine.audio import SAMPLE_RATE
from engine.session.media_clock import UNDERRUN_AFTER_S, MediaClock, playout_margin_s

BLOCK = 160


def test_not_started_until_the_first_sound() -> None:
    pace = MediaClock(stamped=True)
    assert not pace.started
    assert math.isnan(pace.captured_s(0))
    pace.begin(5.0)
    assert pace.started
    assert pace.captured_s(SAMPLE_RATE) == 6.0


@pytest.mark.parametrize("stamped", [True, False])
def test_sound_without_a_stamp_is_heard_exactly_when_due(stamped: bool) -> None:
    pace = MediaClock(stamped=stamped)
    pace.begin(10.0)
    for _ in range(360_000):
        pace.advance(BLOCK, math.nan)
    assert pace.captured_s(pace.received) == 10.0 + 3600.0


def test_stamps_mean_nothing_to_a_source_without_a_clock() -> None:
    pace = MediaClock(stamped=False)
    pace.begin(0.0)
    pace.advance(BLOCK, 99.0)
    assert pace.origin_s == 0.0


@pytest.mark.parametrize("drift", [1e-3, -1e-3])
def test_a_drifting_device_is_followed(drift: float) -> None:
    """A sound card a thousandth off for five minutes would be 300 ms away."""
    pace = MediaClock(stamped=True)
    pace.begin(0.0)
    steps = []
    for k in range(1, 30_001):
        before = pace.origin_s
        pace.advance(BLOCK, k * 0.01 * (1 + drift))
        steps.append(abs(pace.origin_s - before))
    assert abs(pace.captured_s(pace.received) - 300 * (1 + drift)) < 0.003
    assert max(steps) < 0.0001


def test_jitter_of_stamps_hardly_moves_the_origin() -> None:
    pace = MediaClock(stamped=True)
    pace.begin(0.0)
    jitter = np.random.default_rng(0).uniform(-0.008, 0.008, 2000)
    origins = []
    for k, late in enumerate(jitter, 1):
        pace.advance(BLOCK, k * 0.01 + late)
        origins.append(pace.origin_s)
    assert np.abs(origins).max() < 0.001


def test_a_gap_is_taken_at_once() -> None:
    pace = MediaClock(stamped=True)
    pace.begin(0.0)
    pace.advance(BLOCK, 0.01)
    pace.advance(BLOCK, 0.52)
    assert pace.captured_s(pace.received) == pytest.approx(0.52)


def test_sound_is_missing_only_after_patience() -> None:
    pace = MediaClock(stamped=False)
    pace.begin(1.0)
    pace.advance(SAMPLE_RATE, math.nan)
    assert pace.overdue_samples(1.5) == 0
    assert pace.overdue_samples(2.0 + UNDERRUN_AFTER_S - 0.001) == 0
    assert pace.overdue_samples(2.5) == SAMPLE_RATE // 2


def test_silence_that_stood_in_is_not_missed_again() -> None:
    pace = MediaClock(stamped=False)
    pace.begin(0.0)
    pace.advance(pace.overdue_samples(1.0), math.nan)
    assert pace.received == SAMPLE_RATE
    assert pace.overdue_samples(1.0) == 0


@pytest.mark.parametrize(
    ("cost_ms", "reserve_ms"),
    [
        *((1, 10), (7, 10), (10, 10), (16, 10), (20, 20), (28, 28)),
        *((38, 38), (40, 40), (42, 39), (48, 33), (60, 30)),
    ],
)
def test_quick_hops_need_less_reserve_and_slow_ones_more(cost_ms: float, reserve_ms: float) -> None:
    assert playout_margin_s(cost_ms / 1000) * 1000 == pytest.approx(reserve_ms)
