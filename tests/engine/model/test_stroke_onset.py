"""When hands set out: once for each rise of the score, from what was heard before, and told on."""

import pytest
import torch
from torch import Tensor, nn

from engine.config.model import CueConfig, live_config
from engine.errors import ConfigError
from engine.model.builders import build_gesture_model
from engine.model.layers import Mlp
from engine.model.stroke_onset import StrokeOnsetDetector

APART, MEMORY = 4, 3
REACH = 2


def cue(
    threshold: float = 1.0, sharpness: float = 20.0, word_reach: int | None = None
) -> StrokeOnsetDetector:
    torch.manual_seed(0)
    made = StrokeOnsetDetector(
        Mlp(5, 5, 1, 0.1),
        nn.Embedding(2, 5),
        nn.Conv1d(1, 5, MEMORY),
        threshold=threshold,
        wordless=threshold - 2.0,
        word_reach=word_reach,
        sharpness=sharpness,
        apart=APART,
    )
    nn.init.normal_(made.tell.weight)
    return made.requires_grad_(False)


def begun(*scores: float, words: bool = True) -> list[int]:
    said = torch.full((1, len(scores)), int(words))
    found = cue().beginnings(torch.tensor([scores]), said)[0]
    assert torch.allclose(found, found.round(), atol=1e-6)
    return torch.nonzero(found.round()).flatten().tolist()


def test_hands_set_out_where_the_score_rises_above_the_threshold() -> None:
    assert begun(-3, -3, 0, 5, 6, 5, 0, -3) == [3]
    assert begun(-3, 0, 0, -1) == []
    assert begun(5, 5, -3, -3) == [0]


def test_less_is_asked_for_while_no_words_are_known() -> None:
    rise = (-3.0, -3.0, 0.0, -3.0)
    assert begun(*rise) == []
    assert begun(*rise, words=False) == [2]
    both = cue().beginnings(torch.tensor([rise, rise]), torch.tensor([[0, 7, 0, 0], [0] * 4]))
    assert both.round().tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]


def test_what_is_known_near_a_frame_decides_how_much_is_asked_for() -> None:
    """A score between both thresholds is enough where no word lies within the reach."""
    rise = [-3.0] * 9
    rise[6] = 0.0
    far, near, none = [7, 7, 7, 7, 0, 0, 0, 0, 0], [0, 0, 0, 0, 7, 7, 0, 0, 0], [0] * 9
    words, scores = torch.tensor([far, near, none]), torch.tensor([rise] * 3)
    found = cue(word_reach=REACH).beginnings(scores, words).round()
    assert found[:, 6].tolist() == [1, 0, 1]
    assert found.sum() == 2
    assert cue().beginnings(scores, words).round()[:, 6].tolist() == [0, 0, 1]


def test_the_reach_counts_frames_to_both_sides_of_a_word() -> None:
    words = torch.zeros(1, 9, dtype=torch.int64)
    words[0, 4] = 7
    low, high = -1.0, 1.0
    found = cue(word_reach=REACH).thresholds(words)[0].tolist()
    assert found == [low, low, high, high, high, high, high, low, low]
    assert cue(word_reach=0).thresholds(words)[0].tolist() == [low] * 4 + [high] + [low] * 4
    assert cue().thresholds(words).tolist() == [[high]]


@pytest.mark.parametrize("reach", [0, 1, REACH, 40])
def test_words_change_no_threshold_of_frames_beyond_the_reach(reach: int) -> None:
    """Whatever comes late: frames farther from it than the reach keep their threshold."""
    made, frames = cue(word_reach=reach), 32
    generator = torch.Generator().manual_seed(reach)
    for _ in range(20):
        words = torch.randint(1, 9, (1, frames), generator=generator)
        words *= torch.rand(1, frames, generator=generator) < 0.2
        first = int(torch.randint(frames, (), generator=generator))
        late = words.clone()
        late[0, first : first + 4] = 8
        told = torch.nonzero(late[0] != words[0]).flatten()
        changed = torch.nonzero(made.thresholds(late)[0] != made.thresholds(words)[0]).flatten()
        away = (changed[:, None] - told[None]).abs()
        assert away.numel() == 0 or int(away.amin(1).max()) <= reach


def test_words_everywhere_or_nowhere_are_judged_as_without_a_reach() -> None:
    scores = torch.randn(2, 30, generator=torch.Generator().manual_seed(0))
    words = torch.stack([torch.full((30,), 7), torch.zeros(30, dtype=torch.int64)])
    words[0, ::3] = 0
    near = cue(word_reach=REACH).beginnings(scores, words)
    assert torch.equal(near, cue().beginnings(scores, words))


def test_they_do_so_but_once_in_a_while() -> None:
    assert begun(-3, 5, -3, -3, 5, -3, -3, -3, -3) == [1]
    assert begun(-3, 5, -3, -3, -3, -3, 5, -3) == [1, 6]


def test_it_is_no_hard_step() -> None:
    """A kernel that rounds otherwise must not decide otherwise all at once."""
    near = torch.tensor([[-3.0, 1.0, -3.0]])
    soft = cue(sharpness=8.0)
    assert 0.4 < float(soft.beginnings(near, torch.ones(1, 3, dtype=torch.int64))[0, 1]) < 0.6
    said = torch.ones(1, 3, dtype=torch.int64)
    moved = (soft.beginnings(near + 1e-3, said) - soft.beginnings(near, said)).abs().max()
    assert 0 < float(moved) < 0.01


def test_the_body_is_told_for_some_frames() -> None:
    heard = torch.zeros(1, 8, 5)
    made, known = cue(), torch.zeros(1, 8)
    words = torch.zeros(1, 8, dtype=torch.int64)
    nothing = made(heard, words, torch.tensor([0]), known)
    known[0, 2] = 1.0
    told = (made(heard, words, torch.tensor([0]), known) - nothing).abs().sum(-1)[0]
    assert torch.nonzero(told).flatten().tolist() == [2, 3, 4]


def test_a_new_cue_changes_nothing() -> None:
    made = StrokeOnsetDetector(
        Mlp(5, 5, 1, 0.1), nn.Embedding(2, 5), nn.Conv1d(1, 5, MEMORY),
        threshold=0.0, wordless=0.0, sharpness=8.0, apart=APART,
    )  # fmt: skip
    heard = torch.randn(2, 9, 5)
    words = torch.zeros(2, 9, dtype=torch.int64)
    assert torch.equal(made(heard, words, torch.tensor([0, 1])), heard)


def test_nothing_is_decided_by_what_comes_later() -> None:
    made = cue(threshold=0.0)
    heard = torch.randn(1, 20, 5, requires_grad=True)
    made(heard, torch.ones(1, 20, dtype=torch.int64), torch.tensor([1]))[0, 9].sum().backward()
    assert heard.grad is not None
    assert not heard.grad[0, 10:].any()
    assert heard.grad[0, :9].any()


def test_speakers_set_out_as_they_are_used_to() -> None:
    made = cue(threshold=0.0)
    heard: Tensor = torch.randn(1, 20, 5).expand(2, -1, -1)
    one, other = made.scores(heard, torch.tensor([0, 1]))
    assert not torch.allclose(one, other)


@pytest.mark.parametrize(
    "wrong", [{"apart": 1}, {"memory": 0}, {"lead": -1}, {"sharpness": 0.0}, {"word_reach": -1}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CueConfig(**wrong)  # type: ignore[arg-type]


def test_without_a_cue_the_network_is_as_it_was() -> None:
    assert build_gesture_model(live_config(5, 9, width=16)).cue is None
