import pytest

from engine.config.serialize import from_mapping
from engine.errors import ConfigError
from training.loop.lr_schedule import Decay, LrSchedule


def test_warmup_then_decay_to_the_minimum() -> None:
    schedule = LrSchedule(warmup_steps=10, min_factor=0.1)
    factors = [schedule.factor(step, 1000) for step in range(1000)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[0] == pytest.approx(0.1, abs=1e-3)
    assert max(factors) == pytest.approx(1.0, abs=1e-3)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] == pytest.approx(0.1, abs=1e-3)
    assert factors[500] == pytest.approx(0.55)


def test_decay_shapes() -> None:
    def at_quarter(decay: Decay) -> float:
        return LrSchedule(warmup_steps=0, decay=decay, min_factor=0.0).factor(25, 100)

    assert at_quarter(Decay.NONE) == 1.0
    assert at_quarter(Decay.LINEAR) == 0.75
    assert at_quarter(Decay.COSINE) == pytest.approx(0.853553, abs=1e-6)


def test_milestones_multiply_from_their_share_on() -> None:
    schedule = LrSchedule(warmup_steps=0, decay=Decay.NONE, milestones=((0.5, 0.1), (0.9, 0.5)))
    shown = [schedule.factor(step, 10) for step in (0, 4, 5, 8, 9)]
    assert shown == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.05])


def test_schedule_is_read_from_a_mapping() -> None:
    table = {"warmup_steps": 5, "decay": "none", "milestones": [[0.975, 0.1]]}
    assert from_mapping(LrSchedule, table) == LrSchedule(5, Decay.NONE, 0.01, ((0.975, 0.1),))


@pytest.mark.parametrize(
    "wrong", [{"warmup_steps": -1}, {"min_factor": 1.5}, {"milestones": ((1.2, 0.1),)}]
)
def test_values_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        LrSchedule(**wrong)
