import numpy as np
import torch

from engine.state import StreamState, empty_emitted, no_history, push


def test_push_drops_the_oldest_in_place() -> None:
    history = torch.arange(12).reshape(1, 6, 2)
    same = history
    push(history, torch.full((1, 2, 2), -1), 1)
    assert same is history
    assert history[0, :, 0].tolist() == [4, 6, 8, 10, -1, -1]


def test_push_of_more_than_fits_keeps_the_newest() -> None:
    history = torch.zeros(1, 3, 4)
    fresh = torch.arange(7.0).repeat(1, 3, 1)
    push(history, fresh, 2)
    assert history[0, 0].tolist() == [3, 4, 5, 6]
    push(history, fresh[..., :4], 2)
    assert history[0, 0].tolist() == [0, 1, 2, 3]


def test_a_copy_shares_nothing() -> None:
    state = StreamState(
        np.zeros(1, np.int64),
        no_history(1, 2, 3),
        no_history(1, 2, 4),
        torch.zeros(1, 4, 5, dtype=torch.int64),
        np.zeros((1, 2)),
        empty_emitted(1, 55, 51),
        [],
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
