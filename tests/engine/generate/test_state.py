import dataclasses

import numpy as np
import torch

from engine.generate.sampling import CorrelatedNoise
from engine.generate.state import (
    EncoderState,
    StreamState,
    empty_emitted,
    keep_two,
    no_history,
    push,
)


def test_push_drops_the_oldest_in_place() -> None:
    history = torch.arange(12).reshape(1, 6, 2)
    same = history
    push(history, torch.full((1, 2, 2), -1), 1)
    assert same is history
    assert history[0, :, 0].tolist() == [4, 6, 8, 10, -1, -1]


def test_push_of_more_than_the_capacity_keeps_the_newest() -> None:
    history = torch.zeros(1, 3, 4)
    fresh = torch.arange(7.0).repeat(1, 3, 1)
    push(history, fresh, 2)
    assert history[0, 0].tolist() == [3, 4, 5, 6]
    push(history, fresh[..., :4], 2)
    assert history[0, 0].tolist() == [0, 1, 2, 3]


def test_a_copy_shares_no_data() -> None:
    state = StreamState(
        np.zeros(1, np.int64),
        no_history(1, 2, 3),
        no_history(1, 2, 4),
        torch.zeros(1, 4, 5, dtype=torch.int64),
        np.zeros((1, 2)),
        empty_emitted(1, 55, 51),
        [],
        EncoderState.empty(1),
    )
    copy = state.copy()
    state.frame += 1
    state.audio += 1
    state.codes += 1
    state.emitted.face += 1
    assert copy.frame[0] == 0
    assert not copy.audio.any()
    assert not copy.codes.any()
    assert not copy.emitted.face.any()


def _numbered(rows: int) -> StreamState:
    state = StreamState(
        np.arange(rows),
        torch.arange(rows * 6.0).reshape(rows, 2, 3),
        torch.arange(rows * 8.0).reshape(rows, 2, 4),
        torch.arange(rows * 20).reshape(rows, 4, 5),
        np.arange(rows * 2.0).reshape(rows, 2),
        empty_emitted(rows, 55, 51),
        [CorrelatedNoise(seed, 4, 8, 0.9) for seed in range(rows)],
        EncoderState.empty(rows),
    )
    for name in ("rotations", "face", "height", "contacts"):
        array = getattr(state.emitted, name)
        array[:] = np.arange(array.size).reshape(array.shape)
    return state


def _row(state: StreamState, row: int) -> list[np.ndarray]:
    tensors = [state.audio[row], state.motion[row], state.codes[row]]
    last = state.emitted
    arrays = [last.rotations[:, row], last.face[:, row], last.height[:, row], last.contacts[:, row]]
    return [t.numpy() for t in tensors] + arrays + [state.frame[row], state.ground[row]]


def test_take_copies_rows_and_put_writes_them_back() -> None:
    state = _numbered(4)
    before = state.copy()
    some = state.take([3, 1])
    for actual, expected in zip(_row(some, 0), _row(before, 3), strict=True):
        np.testing.assert_array_equal(actual, expected)
    for array in (some.audio, some.motion, some.codes, some.frame, some.ground):
        array += 100
    last = some.emitted
    for array in (last.rotations, last.face, last.height, last.contacts):
        array += 100
    for row in range(4):  # taken rows are copies
        for actual, expected in zip(_row(state, row), _row(before, row), strict=True):
            np.testing.assert_array_equal(actual, expected)
    audio = state.audio
    state.put([3, 1], some)
    assert state.audio is audio
    for row in range(4):
        for actual, expected in zip(_row(state, row), _row(before, row), strict=True):
            np.testing.assert_array_equal(actual, expected + (100 if row in (1, 3) else 0))


def test_put_replaces_the_noise_generator() -> None:
    state = _numbered(2)
    fresh = CorrelatedNoise(9, 4, 8, 0.9)
    state.put([1], dataclasses.replace(_numbered(1), noise=[fresh]))
    assert state.noise[1] is fresh
    assert state.noise[0] is not fresh


def test_keep_two_holds_the_last_two_frames() -> None:
    memory = np.array([[1.0], [2.0]])
    keep_two(memory, np.array([[3.0]]))
    assert memory[:, 0].tolist() == [2.0, 3.0]
    keep_two(memory, np.array([[4.0], [5.0], [6.0]]))
    assert memory[:, 0].tolist() == [5.0, 6.0]


def test_encoder_activations_follow_their_rows() -> None:
    whole, one = EncoderState.empty(3), EncoderState.empty(1)
    one.store(0, torch.ones(1, 2, 5))
    one.advance(0, 7)
    whole.put([2], one)
    taken = whole.take([2, 0])
    assert taken.offset.tolist() == [7, 0]
    assert taken.activations[0] is one.activations[0]
    assert taken.activations[1] is None
    taken.clear()
    assert taken.activations == [None, None]
    assert whole.activations[2] is one.activations[0]
