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


def test_constant_lags_need_a_small_guard() -> None:
    assert needed_s(np.full(100, 0.006)) == pytest.approx(0.0085)


def test_varying_lags_add_a_quarter_of_their_spread() -> None:
    lags = np.array([0.006] * 90 + [0.030] * 10)
    assert needed_s(lags) == pytest.approx(0.036)


@pytest.mark.parametrize("stalls", [1, 2])
def test_rare_stalls_do_not_raise_the_delay(stalls: int) -> None:
    lags = np.array([0.006] * 98 + [0.2] * stalls)
    assert needed_s(lags) == pytest.approx(0.0085)


def test_the_delay_shrinks_slowly_to_the_needed_value() -> None:
    delay = PlayoutDelay(0.0, 0.020, 0.1)
    values = run(delay, [0.006] * 600)
    assert values[25] == 0.020
    assert values[-1] == pytest.approx(0.0085)
    assert max(-np.diff(values)) <= 0.005 * FRAME_S + 1e-12


def test_the_delay_grows_within_a_second_on_a_slower_machine() -> None:
    delay = PlayoutDelay(0.0, 0.010, 0.1)
    run(delay, [0.006] * 300)
    values = run(delay, [0.030] * 30)
    assert values[-1] >= 0.030
    assert max(np.diff(values)) <= 0.05 * FRAME_S + 1e-12


def test_the_delay_is_limited_for_models_slower_than_real_time() -> None:
    delay = PlayoutDelay(0.0, 0.010, 0.040)
    assert run(delay, [1.0] * 200)[-1] == pytest.approx(0.040)


def test_old_lags_expire() -> None:
    delay = PlayoutDelay(0.0, 0.010, 0.1)
    run(delay, [0.050] * 100)
    assert run(delay, [0.006] * 3000)[-1] == pytest.approx(0.0085)


def test_the_total_includes_the_algorithmic_latency() -> None:
    assert PlayoutDelay(0.033, 0.020, 0.1).total_s == pytest.approx(0.053)


def test_the_first_delay_is_the_cost_plus_its_margin() -> None:
    delay = first_delay(Latency(2, 10.0, 33.0), 30, cost_s=0.006, outside_s=0.02)
    assert delay.total_s == pytest.approx(0.043 + 0.006 + 0.010 + 0.02)


def test_the_first_delay_allows_at_most_one_hop_of_computation() -> None:
    delay = first_delay(Latency(1, 0.0, 0.0), 30, cost_s=5.0, outside_s=0.0)
    assert delay.total_s == pytest.approx(1 / 30 + playout_margin_s(1 / 30))
