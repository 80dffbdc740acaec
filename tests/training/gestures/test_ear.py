"""What the ear is to tell from speech features."""

import math

import pytest
import torch

from training.gestures.ear import SpeechEar


def test_the_ear_knows_strokes_from_what_follows() -> None:
    ear = SpeechEar(3)
    since = torch.tensor([[0, 3, 5, 6, 14, 15, 99]])
    features = torch.zeros(1, 7, 3)
    features[0, 1:3, 0], features[0, 3:5, 1] = 1.0, 1.0
    with torch.no_grad():
        ear.score.weight.copy_(torch.tensor([[60.0, 0, 0], [0, 60.0, 0]]))
        ear.score.bias.fill_(-30.0)
    assert float(ear.stresses(features, since)) < 1e-6
    assert float(ear.stresses(features, since + 8)) > 1.0


def test_the_ear_tells_kinds_of_gestures_while_they_are_made() -> None:
    ear = SpeechEar(2)
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
