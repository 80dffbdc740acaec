"""Chance of a stream: the same at the same place, and for nothing else."""

import numpy as np

from engine.generate.sampling import CorrelatedNoise
from engine.postprocess.counter_rng import RandomStream, counter_rng


def test_the_same_is_drawn_at_the_same_place_in_any_order() -> None:
    forwards = [counter_rng(7, RandomStream.BLINK, place).random() for place in range(-1, 50)]
    backwards = [
        counter_rng(7, RandomStream.BLINK, place).random() for place in reversed(range(-1, 50))
    ]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 51


def test_seeds_and_purposes_draw_apart() -> None:
    drawn = {counter_rng(seed, what, 3).random() for seed in range(5) for what in RandomStream}
    assert len(drawn) == 5 * len(RandomStream)
    pairs = [
        [counter_rng(s, what, s).random() for s in range(400)] for what in list(RandomStream)[:2]
    ]
    assert abs(np.corrcoef(pairs)[0, 1]) < 0.2


def test_nothing_is_drawn_where_codes_are() -> None:
    """Codes are drawn at place 0 of the same counter: no purpose may have it."""
    assert min(RandomStream) > 0
    noise = CorrelatedNoise(7, 1, 4, 0.0).next(3).ravel()
    for what in RandomStream:
        assert not np.allclose(counter_rng(7, what, 3).standard_normal(4, np.float32), noise)
