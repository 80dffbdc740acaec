"""The finish of a stream: laws of streams hold with it, and a pool gives what a stream gives."""

from dataclasses import replace
from typing import Any

import numpy as np

from engine.blinks import BlinkConfig
from engine.bundle import Bundle
from engine.finish import Finish
from engine.pool import StreamPool
from engine.schedule import Schedule
from engine.steadying import SteadyConfig
from engine.stream import GestureStream
from tests import laws
from tests.models import tiny_bundle
from tests.sounds import babble

SOUND = babble(2.0)


def finished() -> Bundle:
    bundle = tiny_bundle()
    config = replace(bundle.config, blinks=BlinkConfig(40.0), steady=SteadyConfig(emphasis=0.2))
    return replace(bundle, config=config)


def rotations(bundle: Bundle) -> np.ndarray:
    stream = GestureStream(bundle)
    stream.feed_audio(SOUND)
    return np.concatenate([chunk.rotations for chunk in stream.flush()])


class Fed:
    """The upper body of a stream as the laws want it: samples in, an array out."""

    def __init__(self, **options: Any) -> None:
        self.stream = GestureStream(finished(), **options)

    def feed(self, samples: np.ndarray) -> np.ndarray:
        self.stream.feed_audio(samples)
        made = [chunk.rotations[:, 3:22] for chunk in self.stream.drain()]
        return np.concatenate([np.zeros((0, 19, 4), np.float32), *made])

    def reset(self) -> None:
        self.stream.reset()

    def snapshot(self) -> Any:
        return self.stream.snapshot()

    def restore(self, state: Any) -> None:
        self.stream.restore(state)


def test_any_split_gives_the_same_motion() -> None:
    laws.split_law(Fed(schedule=Schedule(24, 16, 4)), SOUND[:24000])


def test_a_restored_snapshot_goes_on_the_same() -> None:
    laws.snapshot_law(Fed(), SOUND, [0, 9000, 17000])


def test_a_reset_stream_moves_as_a_new_one() -> None:
    fed = Fed()
    expected = fed.feed(SOUND)
    fed.reset()
    np.testing.assert_array_equal(fed.feed(SOUND), expected)


def test_steadied_motion_is_calmer_and_fed_back_as_it_was() -> None:
    plain, steady = rotations(tiny_bundle()), rotations(finished())
    legs = [1, 2, 4, 5, 7, 8, 10, 11]
    np.testing.assert_array_equal(steady[:, legs], plain[:, legs])
    quick = [np.abs(np.diff(x[:, 3:22], 3, axis=0)).mean() for x in (steady, plain)]
    assert quick[0] < 0.8 * quick[1]


def test_a_pool_finishes_as_a_stream_does() -> None:
    pool = StreamPool(finished(), 2)
    slots = [pool.open(seed=seed) for seed in (0, 1)]
    for slot in slots:
        pool.feed_audio(slot, SOUND)
    made: dict[int, list[np.ndarray]] = {slot: [] for slot in slots}
    while chunks := pool.step():
        for slot, chunk in chunks.items():
            made[slot].append(chunk.rotations)
    for slot, seed in zip(slots, (0, 1), strict=True):
        alone = GestureStream(finished(), seed=seed)
        alone.feed_audio(SOUND)
        expected = np.concatenate([chunk.rotations for chunk in alone.drain()])
        np.testing.assert_allclose(np.concatenate(made[slot]), expected, atol=1e-5)


def test_nothing_asked_for_changes_nothing() -> None:
    stream = GestureStream(tiny_bundle())
    stream.feed_audio(SOUND)
    chunk = stream.next_chunk()
    assert chunk is not None
    assert Finish(tiny_bundle().config, 0).over(chunk) is chunk
