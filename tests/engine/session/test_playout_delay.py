import numpy as np
import pytest

from engine.session.media_clock import playout_margin_s
from engine.session.playout_delay import PlayoutDelay, first_delay, needed_s
from engine.stream.input import Latency

FRAME_S = 1 / 30


def run(delay: PlayoutDelay, lags: list[float]) -> list[float]:
    values = []
    for lag in lags:
        delay.observe(lag)
        delay.advance(FRAME_S)
        values.append(delay.value_s)
    return values


def test_even_lags_need_a_small_guard() -> None:
    assert needed_s(np.full(100, 0.006)) == pytest.approx(0.0085)


def test_uneven_lags_need_a_quarter_of_their_spread_more() -> None:
    lags = np.array([0.006] * 90 + [0.030] * 10)
    assert needed_s(lags) == pytest.approx(0.036)


@pytest.mark.parametrize("stalls", [1, 2])
def test_a_rare_stall_is_not_waited_for(stalls: int) -> None:
    lags = np.array([0.006] * 98 + [0.2] * stalls)
    assert needed_s(lags) == pytest.approx(0.0085)


def test_the_delay_shrinks_to_what_is_needed_and_slowly() -> None:
    delay = PlayoutDelay(0.0, 0.020, 0.1)
    values = run(delay, [0.006] * 600)
    assert values[25] == 0.020
    assert values[-1] == pytest.approx(0.0085)
    assert max(-np.diff(values)) <= 0.005 * FRAME_S + 1e-12


def test_the_delay_grows_within_a_second_when_the_machine_becomes_slow() -> None:
    delay = PlayoutDelay(0.0, 0.010, 0.1)
    run(delay, [0.006] * 300)
    values = run(delay, [0.030] * 30)
    assert values[-1] >= 0.030
    assert max(np.diff(values)) <= 0.05 * FRAME_S + 1e-12


def test_a_model_slower_than_real_time_is_not_waited_for() -> None:
    delay = PlayoutDelay(0.0, 0.010, 0.040)
    assert run(delay, [1.0] * 200)[-1] == pytest.approx(0.040)


def test_old_lags_are_forgotten() -> None:
    delay = PlayoutDelay(0.0, 0.010, 0.1)
    run(delay, [0.050] * 100)
    assert run(delay, [0.006] * 3000)[-1] == pytest.approx(0.0085)


def test_the_algorithmic_latency_always_counts() -> None:
    assert PlayoutDelay(0.033, 0.020, 0.1).total_s == pytest.approx(0.053)


def test_the_first_delay_is_the_cost_and_its_reserve() -> None:
    delay = first_delay(Latency(2, 10.0, 33.0), 30, cost_s=0.006, outside_s=0.02)
    assert delay.total_s == pytest.approx(0.043 + 0.006 + 0.010 + 0.02)


def test_a_hop_slower_than_itself_is_waited_for_no_longer_than_itself() -> None:
    delay = first_delay(Latency(1, 0.0, 0.0), 30, cost_s=5.0, outside_s=0.0)
    assert delay.total_s == pytest.approx(1 / 30 + playout_margin_s(1 / 30))
