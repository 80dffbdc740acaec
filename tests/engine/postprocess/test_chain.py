"""Post-processing in a stream: the streaming laws hold, and pool and stream agree."""

import numpy as np

from engine.bundle.io import Bundle
from engine.generate.schedule import Schedule
from engine.motion.pose import PoseChunk
from engine.postprocess.blinks import BlinkConfig
from engine.postprocess.chain import PostProcess
from engine.postprocess.gaze import GazeConfig
from engine.postprocess.idle_motion import IdleConfig
from engine.postprocess.one_euro import OneEuroConfig
from engine.postprocess.posture import PostureConfig
from engine.postprocess.stance import StanceConfig
from engine.stream.pool import StreamPool
from engine.stream.stream import GestureStream
from tests.support import laws
from tests.support.audio import babble
from tests.support.postprocess_streams import StreamAdapter, faces, upper_bodies, with_stages
from tests.support.tiny_bundle import tiny_bundle

SOUND = babble(2.0)


def with_all_stages() -> Bundle:
    return with_stages(
        one_euro=OneEuroConfig(amplitude_gain=0.2),
        posture=PostureConfig({"spine1": (4.0, 0.0, 0.0), "head": (-8.0, 2.0, 0.0)}),
        stance=StanceConfig(0.05, 0.006),
        idle=IdleConfig(1.0),
        gaze=GazeConfig(0.5),
        blinks=BlinkConfig(40.0),
    )


def filtered() -> Bundle:
    return with_stages(one_euro=OneEuroConfig(amplitude_gain=0.2))


def everything(chunks: list[PoseChunk]) -> np.ndarray:
    upper = upper_bodies(chunks)
    return np.concatenate([faces(chunks), upper.reshape(-1, 19 * 4)], 1)


def rotations(bundle: Bundle) -> np.ndarray:
    stream = GestureStream(bundle)
    stream.feed_audio(SOUND)
    return np.concatenate([chunk.rotations for chunk in stream.flush()])


def test_any_split_gives_the_same_motion() -> None:
    laws.split_law(
        StreamAdapter(with_all_stages(), everything, schedule=Schedule(24, 16, 4)), SOUND[:24000]
    )


def test_a_restored_snapshot_continues_identically() -> None:
    laws.snapshot_law(StreamAdapter(with_all_stages(), everything), SOUND, [0, 9000, 17000])


def test_a_reset_stream_equals_a_new_one() -> None:
    adapter = StreamAdapter(with_all_stages(), everything)
    expected = adapter.feed(SOUND)
    adapter.reset()
    np.testing.assert_array_equal(adapter.feed(SOUND), expected)


def test_the_filter_smooths_output_but_not_the_seeds() -> None:
    plain, steady = rotations(tiny_bundle()), rotations(filtered())
    legs = [1, 2, 4, 5, 7, 8, 10, 11]
    np.testing.assert_array_equal(steady[:, legs], plain[:, legs])
    quick = [np.abs(np.diff(x[:, 3:22], 3, axis=0)).mean() for x in (steady, plain)]
    assert quick[0] < 0.9 * quick[1]


def test_a_pool_postprocesses_as_a_stream_does() -> None:
    pool = StreamPool(with_all_stages(), 2)
    slots = [pool.open(seed=seed) for seed in (0, 1)]
    for slot in slots:
        pool.feed_audio(slot, SOUND)
    made: dict[int, list[np.ndarray]] = {slot: [] for slot in slots}
    while chunks := pool.step():
        for slot, chunk in chunks.items():
            made[slot].append(chunk.rotations)
    for slot, seed in zip(slots, (0, 1), strict=True):
        alone = GestureStream(with_all_stages(), seed=seed)
        alone.feed_audio(SOUND)
        expected = np.concatenate([chunk.rotations for chunk in alone.drain()])
        np.testing.assert_allclose(np.concatenate(made[slot]), expected, atol=1e-4)


def test_an_empty_chain_changes_nothing() -> None:
    stream = GestureStream(tiny_bundle())
    stream.feed_audio(SOUND)
    chunk = stream.next_chunk()
    assert chunk is not None
    config = tiny_bundle().config
    assert PostProcess(config.postprocess, config.pose_format, 0).apply(chunk) is chunk
