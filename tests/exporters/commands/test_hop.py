import pytest

from engine.errors import ConfigError
from exporters.commands import hop as module
from exporters.commands.hop import holds, live_step
from tests.support.tiny_bundle import tiny_bundle


@pytest.mark.parametrize(
    ("cost_ms", "threads", "cores", "held"),
    [
        (5.0, 1, 2, True),
        (16.0, 1, 2, True),
        (17.0, 1, 2, False),  # more than half of the time of a frame
        (16.0, 2, 2, True),
        (16.0, 4, 2, False),  # leaves no core
        (16.0, 1, 1, True),
        (17.0, 1, 1, False),
    ],
)
def test_a_hop_is_held_with_a_core_to_spare(
    cost_ms: float, threads: int, cores: int, held: bool
) -> None:
    assert holds(cost_ms / 1000, threads, 30, cores) is held


@pytest.mark.parametrize(
    ("cost_s", "asked", "hop"), [(0.001, None, 1), (1.0, None, 2), (1.0, 1, 1), (0.001, 3, 3)]
)
def test_the_hop_is_measured_unless_it_is_given(
    monkeypatch: pytest.MonkeyPatch, cost_s: float, asked: int | None, hop: int
) -> None:
    monkeypatch.setattr(module, "hop_s", lambda *_: cost_s)
    bundle, told = tiny_bundle(), list[str]()
    assert bundle.config.schedule.hop == 2
    step, schedule = live_step("eager", bundle, asked, None, told.append)
    assert schedule.hop == hop
    assert step.name == "eager"
    shown = f"hop {hop}: one frame is computed in {cost_s * 1000:.1f} of 33.3 ms"
    assert told == ([] if asked else [shown])


def test_a_large_network_keeps_its_hop_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_small", lambda network: False)
    monkeypatch.setattr(module, "hop_s", lambda *_: 0.0)
    assert live_step("eager", tiny_bundle(), None, None, print)[1].hop == 2


def test_a_hop_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="window"):
        live_step("eager", tiny_bundle(), 1000, None, print)
