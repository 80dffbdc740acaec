import math

import numpy as np
import pytest

from engine.audio import SAMPLE_RATE
from engine.session.media_clock import UNDERRUN_AFTER_S, MediaClock, playout_margin_s

BLOCK = 160


def test_the_clock_starts_with_the_first_samples() -> None:
    media_clock = MediaClock(stamped=True)
    assert not media_clock.started
    assert math.isnan(media_clock.captured_s(0))
    media_clock.begin(5.0)
    assert media_clock.started
    assert media_clock.captured_s(SAMPLE_RATE) == 6.0


@pytest.mark.parametrize("stamped", [True, False])
def test_audio_without_timestamps_follows_the_sample_rate(stamped: bool) -> None:
    media_clock = MediaClock(stamped=stamped)
    media_clock.begin(10.0)
    for _ in range(360_000):
        media_clock.advance(BLOCK, math.nan)
    assert media_clock.captured_s(media_clock.received) == 10.0 + 3600.0


def test_timestamps_are_ignored_for_unstamped_sources() -> None:
    media_clock = MediaClock(stamped=False)
    media_clock.begin(0.0)
    media_clock.advance(BLOCK, 99.0)
    assert media_clock.origin_s == 0.0


@pytest.mark.parametrize("drift", [1e-3, -1e-3])
def test_device_drift_is_tracked(drift: float) -> None:
    """A sound card with 0.1 % drift is 300 ms off after five minutes."""
    media_clock = MediaClock(stamped=True)
    media_clock.begin(0.0)
    steps = []
    for k in range(1, 30_001):
        before = media_clock.origin_s
        media_clock.advance(BLOCK, k * 0.01 * (1 + drift))
        steps.append(abs(media_clock.origin_s - before))
    assert abs(media_clock.captured_s(media_clock.received) - 300 * (1 + drift)) < 0.003
    assert max(steps) < 0.0001


def test_timestamp_jitter_hardly_moves_the_origin() -> None:
    media_clock = MediaClock(stamped=True)
    media_clock.begin(0.0)
    jitter = np.random.default_rng(0).uniform(-0.008, 0.008, 2000)
    origins = []
    for k, late in enumerate(jitter, 1):
        media_clock.advance(BLOCK, k * 0.01 + late)
        origins.append(media_clock.origin_s)
    assert np.abs(origins).max() < 0.001


def test_a_gap_moves_the_origin_at_once() -> None:
    media_clock = MediaClock(stamped=True)
    media_clock.begin(0.0)
    media_clock.advance(BLOCK, 0.01)
    media_clock.advance(BLOCK, 0.52)
    assert media_clock.captured_s(media_clock.received) == pytest.approx(0.52)


def test_samples_are_missing_only_after_the_patience_time() -> None:
    media_clock = MediaClock(stamped=False)
    media_clock.begin(1.0)
    media_clock.advance(SAMPLE_RATE, math.nan)
    assert media_clock.overdue_samples(1.5) == 0
    assert media_clock.overdue_samples(2.0 + UNDERRUN_AFTER_S - 0.001) == 0
    assert media_clock.overdue_samples(2.5) == SAMPLE_RATE // 2


def test_inserted_silence_counts_as_received() -> None:
    media_clock = MediaClock(stamped=False)
    media_clock.begin(0.0)
    media_clock.advance(media_clock.overdue_samples(1.0), math.nan)
    assert media_clock.received == SAMPLE_RATE
    assert media_clock.overdue_samples(1.0) == 0


@pytest.mark.parametrize(
    ("cost_ms", "reserve_ms"),
    [
        *((1, 10), (7, 10), (10, 10), (16, 10), (20, 20), (28, 28)),
        *((38, 38), (40, 40), (42, 39), (48, 33), (60, 30)),
    ],
)
def test_the_margin_depends_on_the_cost_of_a_hop(cost_ms: float, reserve_ms: float) -> None:
    assert playout_margin_s(cost_ms / 1000) * 1000 == pytest.approx(reserve_ms)
