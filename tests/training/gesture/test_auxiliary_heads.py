"""Auxiliary heads of the speech encoder."""

import math

import pytest
import torch

from training.gesture.auxiliary_heads import SPANS, SpeechAuxHeads


def test_stress_intervals_before_and_after_onsets_are_predicted() -> None:
    heads = SpeechAuxHeads(len(SPANS))
    since = torch.tensor([[99, 99, 99, 99, 0, 3, 6, 14, 15, 99]])
    until = torch.tensor([[7, 5, 3, 1, 99, 99, 99, 99, 99, 99]])
    where = [None, 0, 1, 2, 2, 3, 4, 4, None, None]
    features = torch.zeros(1, len(where), len(SPANS))
    for frame, span in enumerate(where):
        if span is not None:
            features[0, frame, span] = 1.0
    with torch.no_grad():
        heads.score.weight.copy_(60.0 * torch.eye(len(SPANS)))
        heads.score.bias.fill_(-30.0)
    assert float(heads.stress_loss(features, since, until)) < 1e-6
    assert float(heads.stress_loss(features, since + 8, until + 8)) > 1.0


def test_gesture_classes_count_during_strokes_only() -> None:
    heads = SpeechAuxHeads(2)
    since, kind = torch.tensor([[3, 10, 20, 99]]), torch.tensor([[5, 5, 5, 0]])
    features = torch.zeros(1, 4, 2)
    features[0, :2, 0] = 1.0
    with torch.no_grad():
        heads.kind.weight.zero_()
        heads.kind.bias.zero_()
        uniform = float(heads.class_loss(features, since, kind))
        heads.kind.weight[5, 0] = 60.0
        assert float(heads.class_loss(features, since, kind)) < 1e-6
        assert float(heads.class_loss(features, since, 0 * kind)) == 0.0
    assert uniform == pytest.approx(0.5 * math.log(32), rel=1e-4)


def test_face_head_is_optional() -> None:
    features = torch.randn(2, 5, 3)
    assert SpeechAuxHeads(3, 57).face_vectors(features).shape == (2, 5, 57)
    with pytest.raises(ValueError, match="no face head"):
        SpeechAuxHeads(3).face_vectors(features)
