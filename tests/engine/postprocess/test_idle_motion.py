"""Idle motion: amplitude, smoothness and speed; stronger in speech; never in the legs."""

import numpy as np
import pytest

from engine.bundle.io import Bundle
from engine.errors import ConfigError
from engine.generate.schedule import Schedule
from engine.motion.pose import FrameFlag
from engine.motion.rotation import identity, log, multiply
from engine.motion.skeleton import SMPLX_55
from engine.postprocess.counter_rng import RandomStream
from engine.postprocess.idle_motion import IdleConfig, IdleMotion, SplineNoise
from tests.support import laws
from tests.support.audio import babble
from tests.support.postprocess_streams import StreamAdapter, still_chunk, upper_bodies, with_stages

FPS = 30
TRUNK = tuple(SMPLX_55.index(n) for n in ("spine1", "spine2", "spine3", "neck", "head"))


def offsets(
    seconds: float, *, amount: float = 1.0, seed: int = 0, flag: FrameFlag = FrameFlag.NONE
) -> np.ndarray:
    """Rotation vectors `[T, 5, 3]` of the trunk, for a network that stands still."""
    made = IdleMotion(IdleConfig(amount), seed, FPS).apply(
        still_chunk(int(seconds * FPS), flag=flag)
    )
    return np.asarray(log(made.rotations[:, TRUNK].astype(float)))


def test_the_amplitude_is_that_of_speakers() -> None:
    chest, head = (offsets(300)[:, joints].sum(1).std(0) for joints in (slice(0, 3), slice(3, 5)))
    assert 0.04 < chest[0] < 0.1  # leans
    assert 0.04 < chest[2] < 0.1  # tilts
    assert chest[1] < 0.04
    assert (head > 0.03).all()
    assert np.abs(offsets(300)).max() < 0.4


def test_the_motion_is_smooth_and_does_not_repeat() -> None:
    made = offsets(60)
    assert np.abs(np.diff(made, axis=0)).max() * FPS < 0.8
    assert np.abs(np.diff(made, 2, axis=0)).max() * FPS**2 < 6.0
    longer = offsets(240)[:, 0, 0]
    assert abs(np.corrcoef(longer[:3300], longer[3900:])[0, 1]) < 0.35
    assert not np.array_equal(made, offsets(60, seed=1))
    np.testing.assert_array_equal(made, offsets(60))


def test_silence_reduces_sway_to_breathing() -> None:
    speaking, silent = offsets(120), offsets(120, flag=FrameFlag.IDLE)
    assert silent[300:].std() < 0.35 * speaking[300:].std()
    pitch = offsets(120, amount=0.0)[:, :3, 0].sum(1)
    assert 0.008 < pitch.std() < 0.017
    rising = np.flatnonzero((pitch[1:] > 0) & (pitch[:-1] <= 0))
    assert 12 <= len(rising) / 2 <= 20  # breaths per minute
    assert np.diff(rising).std() > 3


def test_the_amplitude_changes_smoothly_at_the_end_of_speech() -> None:
    idle = IdleMotion(IdleConfig(), 0, FPS)
    spoken = idle.apply(still_chunk(60))
    after = idle.apply(still_chunk(120, 60, FrameFlag.IDLE))
    jump = log(multiply(spoken.rotations[-1:, TRUNK] * (1, -1, -1, -1), after.rotations[:1, TRUNK]))
    assert np.abs(np.asarray(jump)).max() < 0.02


def test_the_head_compensates_the_chest() -> None:
    made = offsets(120)
    chest, head = made[:, :3].sum(1), made[:, 3:].sum(1)
    assert np.corrcoef(chest[:, 2], head[:, 2])[0, 1] < -0.2


def test_only_the_trunk_changes_and_the_input_is_kept() -> None:
    chunk = still_chunk(90)
    made = IdleMotion(IdleConfig(2.0), 3, FPS).apply(chunk)
    others = [joint for joint in range(55) if joint not in TRUNK]
    np.testing.assert_array_equal(made.rotations[:, others], chunk.rotations[:, others])
    np.testing.assert_array_equal(chunk.rotations, identity(90, 55))
    assert made.rotations.dtype == np.float32
    assert np.abs(np.linalg.norm(made.rotations, axis=-1) - 1).max() < 1e-6


def test_noise_depends_on_the_frame_only() -> None:
    frames = np.arange(2000)
    noise = SplineNoise(5, RandomStream.CHEST, 3, 40.0)
    whole = noise.at(frames)
    assert 0.3 < whole.std() < 0.6
    assert np.abs(whole).max() <= 1.5
    other = SplineNoise(5, RandomStream.CHEST, 3, 40.0)
    for first in (1900, 3, 700):
        np.testing.assert_array_equal(other.at(frames[first : first + 9]), whole[first : first + 9])
    assert not np.array_equal(SplineNoise(5, RandomStream.HEAD, 3, 40.0).at(frames), whole)


def test_an_empty_chunk_stays_empty() -> None:
    assert len(IdleMotion(IdleConfig(), 0, FPS).apply(still_chunk(0))) == 0


def with_idle_motion() -> Bundle:
    return with_stages(idle=IdleConfig())


def test_the_streaming_laws_hold() -> None:
    sound = babble(2.0)
    adapter = StreamAdapter(with_idle_motion(), upper_bodies, schedule=Schedule(24, 16, 4))
    laws.split_law(adapter, sound[:24000])
    laws.snapshot_law(StreamAdapter(with_idle_motion(), upper_bodies), sound, [0, 9000, 17000])


def test_speakers_can_have_their_own_amount() -> None:
    config = IdleConfig(1.0, {"calm": 0.5})
    lively, calm = (
        IdleMotion(config, 0, FPS, name).apply(still_chunk(600)).rotations
        for name in ("lively", "calm")
    )
    np.testing.assert_array_equal(
        lively, IdleMotion(IdleConfig(1.0), 0, FPS).apply(still_chunk(600)).rotations
    )
    np.testing.assert_array_equal(
        calm, IdleMotion(IdleConfig(0.5), 0, FPS).apply(still_chunk(600)).rotations
    )


@pytest.mark.parametrize("amount", [-0.1, 2.5, float("nan")])
def test_amounts_out_of_range_are_an_error(amount: float) -> None:
    with pytest.raises(ConfigError, match="amount must be 0 to 2"):
        IdleConfig(amount)
    with pytest.raises(ConfigError, match="calm must be 0 to 2"):
        IdleConfig(1.0, {"calm": amount})
