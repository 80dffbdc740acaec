import numpy as np
import pytest

from engine.clock import FrameClock
from engine.motion.pose import FrameFlag, PoseFrame
from engine.motion.rotation import angle, exp
from engine.session.playout import FrameInterpolator, PlayoutBuffer, blend

CLOCK = FrameClock()


def frame(index: int, turn: float = 0.0, x: float = 0.0, *, clock: FrameClock = CLOCK) -> PoseFrame:
    rotations = np.tile(exp(np.array([0.0, turn, 0.0])), (3, 1)).astype(np.float32)
    return PoseFrame(
        index,
        clock.first_sample(index),
        rotations,
        np.array([x, 1.0, 2 * x], np.float32),
        np.full(4, x, np.float32),
        np.full(2, x, np.float32),
    )


def turn_of(pose: PoseFrame) -> float:
    return float(angle(frame(0).rotations, pose.rotations)[0])


def test_blending_interpolates_every_field_of_a_pose() -> None:
    between = blend(frame(4, 0.0, 0.0), frame(5, 0.8, 1.0), 0.25)
    assert turn_of(between) == pytest.approx(0.2, abs=1e-5)
    np.testing.assert_allclose(between.translation, [0.25, 1.0, 0.5])
    np.testing.assert_allclose(between.face, 0.25)
    np.testing.assert_allclose(between.contacts, 0.25)
    assert (between.index, between.sample) == (4, 4 * 16000 // 30)
    assert between.rotations.dtype == between.translation.dtype == np.float32


def interpolate(rate: int, count: int) -> list[PoseFrame]:
    """Output frames for `count` input frames; frame k is rotated by k / 10 rad, at x = k."""
    interpolator = FrameInterpolator(CLOCK, FrameClock(16000, rate))
    return [out for k in range(count) for out in interpolator.feed(frame(k, k / 10, float(k)))]


def test_frames_at_the_same_rate_pass_unchanged() -> None:
    interpolator = FrameInterpolator(CLOCK, CLOCK)
    given = frame(7)
    assert interpolator.feed(given) == [given]
    assert interpolator.delay_frames == 0
    assert interpolator.total(12) == 12


@pytest.mark.parametrize("rate", [60, 50, 25, 120, 24, 10])
def test_output_frames_are_interpolated_at_their_time(rate: int) -> None:
    out = interpolate(rate, 21)
    assert [f.index for f in out] == list(range(len(out)))
    for f in out:
        position = f.index * 30 / rate
        assert f.sample == f.index * 16000 // rate
        assert turn_of(f) == pytest.approx(position / 10, abs=1e-4)
        assert f.translation[0] == pytest.approx(position, abs=1e-4)
    assert 20 * rate // 30 + 1 == len(out)


@pytest.mark.parametrize("rate", [60, 50, 25, 24])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 17])
def test_the_total_equals_the_number_of_output_frames(rate: int, count: int) -> None:
    interpolator = FrameInterpolator(CLOCK, FrameClock(16000, rate))
    assert interpolator.total(count) == len(interpolate(rate, count))
    assert interpolator.delay_frames == 1


def test_an_interpolated_frame_has_the_flags_of_the_next_input() -> None:
    interpolator = FrameInterpolator(CLOCK, FrameClock(16000, 60))
    interpolator.feed(frame(0))
    held = PoseFrame(**{**frame(1).__dict__, "flags": FrameFlag.HELD})
    assert [f.flags for f in interpolator.feed(held)] == [FrameFlag.HELD] * 2


def buffer() -> PlayoutBuffer:
    return PlayoutBuffer(frame(0), CLOCK)


def test_ready_frames_are_taken_in_order() -> None:
    playout = buffer()
    for k in range(3):
        playout.put(frame(k, k / 10))
    assert playout.waiting == 3
    due = [playout.take() for _ in range(3)]
    assert [d.frame.index for d in due] == [0, 1, 2]
    assert not any(d.late for d in due)
    assert not any(d.frame.flags & FrameFlag.HELD for d in due)


def test_a_missing_frame_repeats_the_last_pose_and_is_late() -> None:
    playout = buffer()
    playout.put(frame(0, 0.5))
    playout.take()
    due = playout.take()
    assert due.late
    assert due.frame.flags & FrameFlag.HELD
    assert (due.frame.index, due.frame.sample) == (1, 16000 // 30)
    assert turn_of(due.frame) == pytest.approx(0.5, abs=1e-5)


def test_a_frame_after_its_deadline_is_dropped() -> None:
    playout = buffer()
    assert playout.take().late
    playout.put(frame(0, 0.1))
    assert playout.waiting == 0
    playout.put(frame(1, 0.3))
    due = playout.take()
    assert not due.late
    assert turn_of(due.frame) == pytest.approx(0.3, abs=1e-5)


def test_long_gaps_hold_the_pose_then_ease_to_rest() -> None:
    playout = buffer()
    playout.put(frame(0, 1.0, 3.0))
    playout.take()
    turns = [turn_of(playout.take().frame) for _ in range(90)]
    np.testing.assert_allclose(turns[:9], 1.0, atol=1e-5)
    assert (np.diff(turns[8:]) <= 1e-6).all()
    assert np.abs(np.diff(turns)).max() < 0.1
    assert turns[-1] < 0.02
    last = playout.take().frame
    np.testing.assert_allclose(last.translation, [3.0, 1.0, 6.0], atol=1e-5)
    assert playout.next_index == 92


def test_a_new_frame_ends_a_hold() -> None:
    playout = buffer()
    for _ in range(20):
        playout.take()
    playout.put(frame(20, 0.7))
    assert not playout.take().late
    assert turn_of(playout.take().frame) == pytest.approx(0.7, abs=1e-5)


def test_skip_drops_earlier_frames() -> None:
    playout = buffer()
    for k in range(6):
        playout.put(frame(k, k / 10))
    playout.skip(4)
    due = playout.take()
    assert (due.frame.index, due.late) == (4, False)
