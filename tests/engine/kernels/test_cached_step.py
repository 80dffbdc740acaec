"""Whole hops that hear nothing twice: the same as in pieces, heard anew or not."""

import dataclasses

import pytest
import torch

from engine.config.model import FrontEnd
from engine.errors import ShapeError
from engine.generate.schedule import Schedule
from engine.generate.state import EncoderState
from engine.kernels.cached_step import CachedEncoderStep, recalling_step
from engine.kernels.from_bundle import step_network
from engine.kernels.fused_step import HopInputs, StepNetwork
from engine.kernels.parity import relative_error
from engine.kernels.registry import Request
from engine.timing import Stage, StageTimings, no_timer
from tests.engine.kernels.test_encoder_cache import MOVED, live_windows, noting, small
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle

SCHEDULE = Schedule(window=64, seed=60, hop=2)


def network() -> StepNetwork:
    return step_network(tiny_published_bundle(FrontEnd.WAVE), SCHEDULE).eval()


def live_hops(count: int) -> list[HopInputs]:
    """Hops of one stream, as far as its sound goes."""
    _, shape = small()
    generator, asked = torch.Generator().manual_seed(1), network()
    return [
        asked.draw(shape, generator)._replace(window=window)
        for window in live_windows(shape, count)
    ]


def made(name: str) -> CachedEncoderStep:
    _, shape = small()
    request = Request(shape, samples=lambda: live_windows(shape, 8))
    step = recalling_step(name, network(), request, MOVED, lambda: live_hops(8))
    assert step is not None
    return step


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("openvino", 1e-3, marks=pytest.mark.openvino),
        pytest.param("openvino-int8", 0.3, marks=pytest.mark.nncf),
    ],
)
def test_it_is_its_pieces(name: str, error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    step, pieces, hops = made(name), network().pieces(), live_hops(4)
    noted = noting(monkeypatch)
    anew = step(hops[-1].window, hops[-1].history, lambda: None, no_timer, EncoderState.empty(1))
    for window, history, _ in hops:
        got, expected = (
            s(window, history, lambda: None, no_timer, EncoderState.empty(1))
            for s in (step, pieces)
        )
        assert got.codes.shape == expected.codes.shape
        assert relative_error(expected.decoded.motion, got.decoded.motion) < error
    assert noted == [False, False, True, True, True]
    assert torch.equal(anew.codes, got.codes)
    torch.testing.assert_close(anew.decoded, got.decoded, atol=1e-5, rtol=1e-4)


@pytest.mark.openvino
def test_stages_are_those_of_one_graph() -> None:
    ticks = iter(range(1000))
    timings, (hop, *_) = StageTimings(lambda: float(next(ticks))), live_hops(1)
    made("openvino")(hop.window, hop.history, lambda: None, timings.watch, EncoderState.empty(1))
    found = timings.summary()
    assert [stage for stage in Stage if found[stage] is not None] == [Stage.KERNEL, Stage.CHOOSE]
    with pytest.raises(ShapeError, match="made for sound"):
        made("openvino")(
            hop.window._replace(audio=hop.window.audio[:, 1:]),
            hop.history,
            lambda: None,
            no_timer,
            EncoderState.empty(1),
        )


def test_no_step_recalls_what_no_kernel_does() -> None:
    _, shape = small()
    rows = dataclasses.replace(shape, rows=2)
    assert recalling_step("openvino", network(), Request(rows), MOVED) is None
    other = step_network(tiny_bundle(), tiny_bundle().config.schedule)
    assert recalling_step("openvino", other, Request(shape), MOVED) is None
