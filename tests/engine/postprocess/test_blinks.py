"""Blinks: rate, irregularity and shape, and the streaming laws with blinks."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engine.bundle.io import Bundle
from engine.errors import ConfigError
from engine.generate.schedule import Schedule
from engine.motion.face_basis import ARKIT_51, ARKIT_52, FLAME_100
from engine.motion.pose import FrameFlag, PoseChunk
from engine.postprocess.blinks import LIDS, WIDE, BlinkConfig, Blinks, closure
from engine.stream.pool import StreamPool
from engine.stream.stream import GestureStream
from tests.support import laws
from tests.support.audio import babble
from tests.support.postprocess_streams import StreamAdapter, faces, with_stages
from tests.support.tiny_bundle import tiny_bundle

FPS = 30
LID = ARKIT_51.coefficients.index(LIDS[0])
OFTEN = 40.0
SOUND = babble(4.0)


def lids(seconds: float, *, seed: int = 0, per_minute: float = 17.0, talk: bool = True) -> Any:
    """Closures `[T]` in phrases of 2.5 s with pauses of 1.5 s, or in silence."""
    blinks = Blinks(per_minute, seed, ARKIT_51, FPS)
    frames = range(int(seconds * FPS))
    return np.array([blinks.next(f, voiced=talk and f % 120 < 75) for f in frames])


def starts(closed: np.ndarray) -> np.ndarray:
    """Frames in which the lids start to close."""
    return np.flatnonzero((closed[1:] > 0) & (closed[:-1] == 0)) + 1


def blinking(per_minute: float = OFTEN) -> Bundle:
    return with_stages(blinks=BlinkConfig(per_minute))


@pytest.mark.parametrize("talk", [True, False])
@pytest.mark.parametrize("per_minute", [8.0, 17.0, 30.0])
def test_the_rate_follows_the_setting(per_minute: float, talk: bool) -> None:
    counts = [
        len(starts(lids(600, seed=seed, per_minute=per_minute, talk=talk))) for seed in range(6)
    ]
    assert np.mean(counts) / 10 == pytest.approx(per_minute, rel=0.08)
    assert np.abs(np.array(counts) / 10 / per_minute - 1).max() < 0.3


def test_intervals_are_irregular_with_some_pairs() -> None:
    found = [starts(lids(600, seed=seed, talk=False)) for seed in range(4)]
    gaps = np.concatenate([np.diff(frames) for frames in found]) / FPS
    assert 0.6 < gaps.std() / gaps.mean() < 1.2
    assert gaps.max() > 8.0
    assert 0.03 < (gaps < 0.69).mean() < 0.12


def test_blinks_do_not_overlap() -> None:
    for seed in range(3):
        closed = lids(600, seed=seed, per_minute=OFTEN)
        found = starts(closed)
        assert np.diff(found).min() >= 0.5 * FPS - 1
        for first, after in pairwise(found):
            down = np.diff(closed[first - 1 : after])
            assert (np.diff(np.sign(down[down != 0])) != 0).sum() == 1, (
                "not one closing and one opening"
            )


def test_lids_close_fast_and_open_slowly() -> None:
    closed = lids(600)
    shapes = [closed[f - 1 : f + 14] for f in starts(closed)[:-1]]
    for shape in shapes:
        shut = np.flatnonzero(shape == 1.0)
        assert 1 <= len(shut) <= 3
        falling, rising = shut[0], len(np.trim_zeros(shape)) + 1 - shut[-1]
        assert 3 <= falling <= 5
        assert 5 <= rising <= 9
    assert len({shape.tobytes() for shape in shapes}) > 0.9 * len(shapes)


def test_closure_is_a_smooth_pulse() -> None:
    assert [closure(t, 0.1, 0.06, 0.2) for t in (-1.0, 0.0, 0.1, 0.16, 0.36, 9.0)] == [
        *(0.0, 0.0, 1.0, 1.0, 0.0, 0.0)
    ]
    assert closure(0.05, 0.1, 0.06, 0.2) == pytest.approx(0.5)
    assert closure(0.26, 0.1, 0.06, 0.2) == pytest.approx(0.5)


def test_phrase_ends_advance_blinks() -> None:
    def soon_after(talk: bool) -> float:
        found = [starts(lids(600, seed=seed, talk=talk)) for seed in range(6)]
        return float(np.mean([(b % 120 - 75) % 120 <= 0.3 * FPS for b in np.concatenate(found)]))

    assert soon_after(talk=True) > 3 * soon_after(talk=False)


def test_later_speech_does_not_change_earlier_frames() -> None:
    quiet, other = Blinks(OFTEN, 3, ARKIT_51, FPS), Blinks(OFTEN, 3, ARKIT_51, FPS)
    voiced = [f >= 200 and f % 40 < 20 for f in range(600)]
    one = [quiet.next(f, voiced=False) for f in range(600)]
    two = [other.next(f, voiced=voiced[f]) for f in range(600)]
    assert one[:220] == two[:220]
    assert one != two


def test_seeds_differ_and_repeat() -> None:
    np.testing.assert_array_equal(lids(60, seed=1), lids(60, seed=1))
    assert not np.array_equal(lids(60, seed=1), lids(60, seed=2))


@pytest.mark.parametrize("basis", [ARKIT_51, ARKIT_52], ids=lambda basis: basis.name)
def test_the_larger_closure_wins_and_wide_eyes_are_reduced(basis: Any) -> None:
    count = 300
    source = Blinks(OFTEN, 5, basis, FPS)
    closed = np.array([source.next(f, voiced=False) for f in range(count)], np.float32)
    face = np.full((count, basis.width), 0.25, np.float32)
    chunk = PoseChunk(
        0,
        np.zeros((count, 55, 4), np.float32),
        np.zeros((count, 3), np.float32),
        np.zeros((count, 4), np.float32),
        face,
        (FrameFlag.IDLE,) * count,
    )
    made = Blinks(OFTEN, 5, basis, FPS).apply(chunk).face
    assert made.dtype == np.float32
    assert closed.max() == 1.0
    for name, column in zip(basis.coefficients, made.T, strict=True):
        wide, lid = 0.25 * (1 - closed), np.maximum(closed, np.float32(0.25))
        expected = wide if name in WIDE else lid if name in LIDS else face[:, 0]
        np.testing.assert_array_equal(column, expected, err_msg=name)
    assert (face == 0.25).all(), "the input was changed"


def whole(bundle: Bundle, samples: np.ndarray = SOUND, **options: Any) -> np.ndarray:
    stream = GestureStream(bundle, **options)
    stream.feed_audio(samples)
    return faces(stream.flush())


@pytest.mark.parametrize("schedule", [Schedule(24, 16, 4), Schedule(24, 8, 2, lookahead=3)])
def test_any_split_gives_the_same_lids(schedule: Schedule) -> None:
    face = laws.split_law(StreamAdapter(blinking(), faces, schedule=schedule), SOUND[:24000])
    assert face[:, LID].max() == 1.0, "no blink in the test"


def test_a_restored_snapshot_gives_the_same_lids() -> None:
    laws.snapshot_law(StreamAdapter(blinking(), faces), SOUND[:32000], [0, 9000, 17000])


def test_a_reset_stream_equals_a_new_one() -> None:
    adapter = StreamAdapter(blinking(), faces)
    expected = adapter.feed(SOUND)
    adapter.reset()
    np.testing.assert_array_equal(adapter.feed(SOUND), expected)
    assert (np.diff((expected[:, LID] == 1.0).astype(int)) == 1).sum() >= 2


def test_blinks_do_not_depend_on_the_hop() -> None:
    shut = [
        np.flatnonzero(whole(blinking(), schedule=Schedule(24, 16, hop))[:, LID] == 1.0).tolist()
        for hop in (1, 3, 8)
    ]
    assert shut[0]
    assert shut[0] == shut[1] == shut[2]


def test_blinks_continue_in_held_hops() -> None:
    stream = GestureStream(blinking(), schedule=Schedule(24, 16, 2))
    stream.feed_audio(SOUND)
    held = []
    while (chunk := stream.skip_chunk()) is not None:
        held.append(chunk)
    shut = faces(held)[:, LID] == 1.0
    assert (np.diff(shut.astype(int)) == 1).sum() >= 2, "no blinks in held hops"


def test_blinks_continue_after_cancel() -> None:
    """As the noise of codes; and a restored stream repeats them."""
    stream = GestureStream(blinking())
    stream.feed_audio(SOUND[:16000])
    stream.drain()
    before = stream.snapshot()
    runs = []
    for _ in range(2):
        stream.restore(before)
        stream.cancel()
        stream.feed_audio(np.zeros(64000, np.float32))
        runs.append(faces(stream.drain()))
    np.testing.assert_array_equal(*runs)
    shut = runs[0][:, LID] == 1.0
    assert (np.diff(shut.astype(int)) == 1).sum() >= 2


def test_streams_of_a_pool_blink_independently() -> None:
    pool = StreamPool(blinking(), 3)
    slots = [pool.open(seed=seed) for seed in (1, 2, 3)]
    made: dict[int, list[PoseChunk]] = {slot: [] for slot in slots}
    for turn, start in enumerate(range(0, len(SOUND), 8000)):
        for slot in slots:
            pool.feed_audio(slot, SOUND[start : start + 8000])
        while any(map(pool.ready, slots)):
            chosen = slots if turn % 2 else slots[1:] + slots[:1]
            for slot, chunk in pool.step(chosen).items():
                made[slot].append(chunk)
    alone = [whole(blinking(), seed=seed) for seed in (1, 2, 3)]
    for slot, expected in zip(slots, alone, strict=True):
        face = faces(made[slot])
        np.testing.assert_allclose(face, expected[: len(face)], atol=2e-4)
    assert not np.array_equal(alone[0][:, LID] == 1.0, alone[1][:, LID] == 1.0)


def test_snapshots_carry_blinks_between_stream_and_pool() -> None:
    bundle = blinking()
    expected = whole(bundle, seed=4)
    stream = GestureStream(bundle, seed=4)
    stream.feed_audio(SOUND[:20000])
    chunks = stream.drain()
    pool = StreamPool(bundle, 1)
    slot = pool.open(seed=9)
    pool.restore(slot, stream.snapshot())
    pool.feed_audio(slot, SOUND[20000:40000])
    while pool.ready(slot):
        chunks.append(pool.step()[slot])
    stream.restore(pool.snapshot(slot))
    stream.feed_audio(SOUND[40000:])
    np.testing.assert_array_equal(faces(chunks + stream.flush()), expected)


def test_only_lids_and_wide_eyes_change() -> None:
    """The seeds are the same with and without blinks."""
    assert tiny_bundle().config.postprocess.blinks is None
    plain, blinked = whole(tiny_bundle()), whole(blinking())
    changed = np.flatnonzero((plain != blinked).any(0))
    assert changed.size
    assert set(changed) <= {ARKIT_51.coefficients.index(name) for name in LIDS + WIDE}
    assert plain[:, LID].max() < 1.0 == blinked[:, LID].max()
    assert 0.3 < (plain == blinked).all(1).mean() < 0.9, "between blinks nothing changes"


@pytest.mark.parametrize("per_minute", [0.0, -3.0, 41.0, float("nan")])
def test_rates_out_of_range_are_an_error(per_minute: float) -> None:
    with pytest.raises(ConfigError, match="per_minute must be above 0 and at most 40"):
        BlinkConfig(per_minute)


def test_a_face_without_lids_is_an_error() -> None:
    with pytest.raises(ConfigError, match="flame100 has no eyeBlinkLeft: leave `blinks` out"):
        Blinks(17.0, 0, FLAME_100, FPS)
