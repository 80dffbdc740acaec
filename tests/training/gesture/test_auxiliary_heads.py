"""What the ear is to tell from speech features."""

import math

import pytest
import torch

from training.gesture.auxiliary_heads import SPANS, SpeechAuxHeads


def test_the_ear_knows_stresses_before_and_after_their_onsets() -> None:
    ear = SpeechAuxHeads(len(SPANS))
    since = torch.tensor([[99, 99, 99, 99, 0, 3, 6, 14, 15, 99]])
    until = torch.tensor([[7, 5, 3, 1, 99, 99, 99, 99, 99, 99]])
    where = [None, 0, 1, 2, 2, 3, 4, 4, None, None]
    features = torch.zeros(1, len(where), len(SPANS))
    for frame, span in enumerate(where):
        if span is not None:
            features[0, frame, span] = 1.0
    with torch.no_grad():
        ear.score.weight.copy_(60.0 * torch.eye(len(SPANS)))
        ear.score.bias.fill_(-30.0)
    assert float(ear.stresses(features, since, until)) < 1e-6
    assert float(ear.stresses(features, since + 8, until + 8)) > 1.0


def test_the_ear_tells_kinds_of_gestures_while_they_are_made() -> None:
    ear = SpeechAuxHeads(2)
    since, kind = torch.tensor([[3, 10, 20, 99]]), torch.tensor([[5, 5, 5, 0]])
    features = torch.zeros(1, 4, 2)
    features[0, :2, 0] = 1.0
    with torch.no_grad():
        ear.kind.weight.zero_()
        ear.kind.bias.zero_()
        clueless = float(ear.meanings(features, since, kind))
        ear.kind.weight[5, 0] = 60.0
        assert float(ear.meanings(features, since, kind)) < 1e-6
        assert float(ear.meanings(features, since, 0 * kind)) == 0.0
    assert clueless == pytest.approx(0.5 * math.log(32), rel=1e-4)


def test_the_ear_tells_faces_where_it_was_made_for_one() -> None:
    features = torch.randn(2, 5, 3)
    assert SpeechAuxHeads(3, 57).faces(features).shape == (2, 5, 57)
    with pytest.raises(ValueError, match="no face"):
        SpeechAuxHeads(3).faces(features)
