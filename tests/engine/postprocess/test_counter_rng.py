"""A draw depends on seed, stream and index, and on nothing else."""

import numpy as np

from engine.generate.sampling import CorrelatedNoise
from engine.postprocess.counter_rng import RandomStream, counter_rng


def test_draws_do_not_depend_on_their_order() -> None:
    forwards = [counter_rng(7, RandomStream.BLINK, index).random() for index in range(-1, 50)]
    backwards = [
        counter_rng(7, RandomStream.BLINK, index).random() for index in reversed(range(-1, 50))
    ]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 51


def test_seeds_and_streams_are_independent() -> None:
    drawn = {counter_rng(seed, stream, 3).random() for seed in range(5) for stream in RandomStream}
    assert len(drawn) == 5 * len(RandomStream)
    pairs = [
        [counter_rng(s, stream, s).random() for s in range(400)]
        for stream in list(RandomStream)[:2]
    ]
    assert abs(np.corrcoef(pairs)[0, 1]) < 0.2


def test_the_streams_differ_from_the_noise_of_codes() -> None:
    """Codes use stream 0 of the same counter."""
    assert min(RandomStream) > 0
    noise = CorrelatedNoise(7, 1, 4, 0.0).next(3).ravel()
    for stream in RandomStream:
        assert not np.allclose(counter_rng(7, stream, 3).standard_normal(4, np.float32), noise)
