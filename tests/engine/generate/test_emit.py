"""Emitter: root integration, flags and held frames; seams are tested with the runner."""

import numpy as np
import pytest
import torch

from engine.clock import FrameClock
from engine.generate.decoder import Decoded
from engine.generate.emit import Emitter
from engine.generate.schedule import Schedule
from engine.generate.state import EncoderState, StreamState, empty_emitted
from engine.generate.window import WindowSpec
from engine.motion.pose import FrameFlag

SCHEDULE = Schedule(24, 16, 2)


def make_emitter(recenter_time_s: float = 0.0) -> Emitter:
    silence = np.zeros(5, np.float32)
    return Emitter(WindowSpec(SCHEDULE, FrameClock(), silence, 51, recenter_time_s=recenter_time_s))


def make_state(rows: int) -> StreamState:
    return StreamState(
        frame=np.zeros(rows, np.int64),
        audio=torch.zeros(rows, 24, 5),
        motion=torch.zeros(rows, 24, 337),
        codes=torch.zeros(rows, 4, 4, dtype=torch.int64),
        ground=np.zeros((rows, 2)),
        emitted=empty_emitted(rows, 55, 51),
        noise=[],
        encoder=EncoderState.empty(rows),
    )


def decode(rows: int, frames: int) -> Decoded:
    rotations = torch.zeros(rows, frames, 55, 4)
    rotations[..., 0] = 1.0
    return Decoded(
        rotations,
        torch.full((rows, frames, 51), 2.0),
        torch.zeros(rows, frames, 4),
        torch.tensor([0.3, 0.9, -0.6]).repeat(rows, frames, 1),
        torch.zeros(rows, frames, 337),
    )


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 0.6), (60.0, 0.06)])
def test_root_recentering_bounds_the_distance(seconds: float, expected: float) -> None:
    """Constant velocity for ten minutes, without and with recentering."""
    velocity = np.full((30 * 600, 1, 2), 0.001, np.float32)
    path = make_emitter(seconds).integrate_root(np.zeros((1, 2)), velocity)
    assert path[-1, 0, 0] == pytest.approx(expected, rel=0.01)


def test_unvoiced_frames_are_idle_and_weights_are_bounded() -> None:
    emitter, state = make_emitter(), make_state(2)
    emitter.store(state, decode(2, 2))
    first, second = emitter.emit(state, decode(2, 4), [(True, False), (False, False)])
    assert first.flags == (FrameFlag.NONE, FrameFlag.IDLE)
    assert second.flags == (FrameFlag.IDLE, FrameFlag.IDLE)
    assert first.face.max() == 1.0  # expression weights end at 1
    assert state.frame.tolist() == [2, 2]


def test_repeated_frames_are_held_where_they_are() -> None:
    emitter, state = make_emitter(), make_state(1)
    emitter.store(state, decode(1, 2))
    (moved,) = emitter.emit(state, decode(1, 4), [(True, True)])
    (held,) = emitter.repeat(state, [(True, False)])
    assert (held.first, len(held)) == (2, 2)
    assert held.flags == (FrameFlag.HELD, FrameFlag.HELD | FrameFlag.IDLE)
    np.testing.assert_array_equal(held.translation, moved.translation[[-1, -1]])


def test_a_file_is_one_chunk_from_the_origin() -> None:
    (chunk,) = make_emitter().emit_file(make_state(1), decode(1, 31), (True,) * 31)
    assert (chunk.first, len(chunk)) == (0, 31)
    np.testing.assert_allclose(chunk.translation[30], [0.3, 0.9, -0.6], atol=1e-6)
