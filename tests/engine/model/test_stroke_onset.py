"""Stroke-onset detection: threshold, refractory frames, causality and onset signal."""

import pytest
import torch
from torch import Tensor, nn

from engine.config.model import OnsetConfig
from engine.config.presets import live_config
from engine.errors import ConfigError
from engine.model.builders import build_gesture_model
from engine.model.layers import Mlp
from engine.model.stroke_onset import StrokeOnsetDetector

REFRACTORY, HOLD = 4, 3
REACH = 2


def detector(
    threshold: float = 1.0, gain: float = 20.0, word_reach: int | None = None
) -> StrokeOnsetDetector:
    torch.manual_seed(0)
    onset_detector = StrokeOnsetDetector(
        Mlp(5, 5, 1, 0.1),
        nn.Embedding(2, 5),
        nn.Conv1d(1, 5, HOLD),
        threshold=threshold,
        threshold_without_words=threshold - 2.0,
        word_reach=word_reach,
        gain=gain,
        refractory_frames=REFRACTORY,
    )
    nn.init.normal_(onset_detector.tell.weight)
    return onset_detector.requires_grad_(False)


def onsets(*scores: float, words: bool = True) -> list[int]:
    indices = torch.full((1, len(scores)), int(words))
    found = detector().onset_gate(torch.tensor([scores]), indices)[0]
    assert torch.allclose(found, found.round(), atol=1e-6)
    return torch.nonzero(found.round()).flatten().tolist()


def test_an_onset_is_where_the_score_rises_above_the_threshold() -> None:
    assert onsets(-3, -3, 0, 5, 6, 5, 0, -3) == [3]
    assert onsets(-3, 0, 0, -1) == []
    assert onsets(5, 5, -3, -3) == [0]


def test_the_threshold_is_lower_without_words() -> None:
    rise = (-3.0, -3.0, 0.0, -3.0)
    assert onsets(*rise) == []
    assert onsets(*rise, words=False) == [2]
    both = detector().onset_gate(torch.tensor([rise, rise]), torch.tensor([[0, 7, 0, 0], [0] * 4]))
    assert both.round().tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]


def test_words_near_a_frame_select_its_threshold() -> None:
    """A score between the two thresholds is an onset if no word is within the reach."""
    rise = [-3.0] * 9
    rise[6] = 0.0
    far, near, none = [7, 7, 7, 7, 0, 0, 0, 0, 0], [0, 0, 0, 0, 7, 7, 0, 0, 0], [0] * 9
    words, scores = torch.tensor([far, near, none]), torch.tensor([rise] * 3)
    found = detector(word_reach=REACH).onset_gate(scores, words).round()
    assert found[:, 6].tolist() == [1, 0, 1]
    assert found.sum() == 2
    assert detector().onset_gate(scores, words).round()[:, 6].tolist() == [0, 0, 1]


def test_the_reach_extends_to_both_sides_of_a_word() -> None:
    words = torch.zeros(1, 9, dtype=torch.int64)
    words[0, 4] = 7
    low, high = -1.0, 1.0
    found = detector(word_reach=REACH).thresholds(words)[0].tolist()
    assert found == [low, low, high, high, high, high, high, low, low]
    assert detector(word_reach=0).thresholds(words)[0].tolist() == [low] * 4 + [high] + [low] * 4
    assert detector().thresholds(words).tolist() == [[high]]


@pytest.mark.parametrize("reach", [0, 1, REACH, 40])
def test_words_do_not_change_thresholds_beyond_the_reach(reach: int) -> None:
    """Late words change the thresholds of frames within the reach only."""
    onset_detector, frames = detector(word_reach=reach), 32
    generator = torch.Generator().manual_seed(reach)
    for _ in range(20):
        words = torch.randint(1, 9, (1, frames), generator=generator)
        words *= torch.rand(1, frames, generator=generator) < 0.2
        first = int(torch.randint(frames, (), generator=generator))
        late = words.clone()
        late[0, first : first + 4] = 8
        added = torch.nonzero(late[0] != words[0]).flatten()
        changed = torch.nonzero(
            onset_detector.thresholds(late)[0] != onset_detector.thresholds(words)[0]
        ).flatten()
        distance = (changed[:, None] - added[None]).abs()
        assert distance.numel() == 0 or int(distance.amin(1).max()) <= reach


def test_the_reach_has_no_effect_for_constant_or_absent_words() -> None:
    scores = torch.randn(2, 30, generator=torch.Generator().manual_seed(0))
    words = torch.stack([torch.full((30,), 7), torch.zeros(30, dtype=torch.int64)])
    words[0, ::3] = 0
    near = detector(word_reach=REACH).onset_gate(scores, words)
    assert torch.equal(near, detector().onset_gate(scores, words))


def test_no_onset_within_the_refractory_time() -> None:
    assert onsets(-3, 5, -3, -3, 5, -3, -3, -3, -3) == [1]
    assert onsets(-3, 5, -3, -3, -3, -3, 5, -3) == [1, 6]


def test_the_gate_is_soft() -> None:
    """A small change of the score, as from another kernel's rounding, changes the signal little."""
    near = torch.tensor([[-3.0, 1.0, -3.0]])
    soft, words = detector(gain=8.0), torch.ones(1, 3, dtype=torch.int64)
    assert 0.4 < float(soft.onset_gate(near, words)[0, 1]) < 0.6
    change = (soft.onset_gate(near + 1e-3, words) - soft.onset_gate(near, words)).abs().max()
    assert 0 < float(change) < 0.01


def test_the_signal_is_held_for_some_frames() -> None:
    features, speaker = torch.zeros(1, 8, 5), torch.tensor([0])
    onset_detector, signal = detector(), torch.zeros(1, 8)
    words = torch.zeros(1, 8, dtype=torch.int64)
    without = onset_detector(features, words, speaker, signal)
    signal[0, 2] = 1.0
    added = (onset_detector(features, words, speaker, signal) - without).abs().sum(-1)[0]
    assert torch.nonzero(added).flatten().tolist() == [2, 3, 4]


def test_a_new_detector_does_not_change_its_input() -> None:
    onset_detector = StrokeOnsetDetector(
        Mlp(5, 5, 1, 0.1), nn.Embedding(2, 5), nn.Conv1d(1, 5, HOLD),
        threshold=0.0, threshold_without_words=0.0, gain=8.0, refractory_frames=REFRACTORY,
    )  # fmt: skip
    features = torch.randn(2, 9, 5)
    words = torch.zeros(2, 9, dtype=torch.int64)
    assert torch.equal(onset_detector(features, words, torch.tensor([0, 1])), features)


def test_the_detector_is_causal() -> None:
    onset_detector, words = detector(threshold=0.0), torch.ones(1, 20, dtype=torch.int64)
    features = torch.randn(1, 20, 5, requires_grad=True)
    onset_detector(features, words, torch.tensor([1]))[0, 9].sum().backward()
    assert features.grad is not None
    assert not features.grad[0, 10:].any()
    assert features.grad[0, :9].any()


def test_scores_depend_on_the_speaker() -> None:
    features: Tensor = torch.randn(1, 20, 5).expand(2, -1, -1)
    one, other = detector(threshold=0.0).scores(features, torch.tensor([0, 1]))
    assert not torch.allclose(one, other)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("refractory_frames", 1),
        ("hold_frames", 0),
        ("lead_frames", -1),
        ("gain", 0.0),
        ("word_reach", -1),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        OnsetConfig(**{name: value})  # type: ignore[arg-type]


def test_the_detector_is_optional() -> None:
    assert build_gesture_model(live_config(5, 9, width=16)).cue is None
