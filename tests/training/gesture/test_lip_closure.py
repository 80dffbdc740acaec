import pytest
import torch
from torch import Tensor

from engine.errors import ConfigError
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.skeleton import BodyPart
from training.gesture.lip_closure import lip_closures

LAYOUT = part_layout(BodyPart.FACE, ARKIT_51.width)
JAW = LAYOUT.width - ARKIT_51.width + ARKIT_51.coefficients.index("jawOpen")
LIP = LAYOUT.width - ARKIT_51.width + ARKIT_51.coefficients.index("mouthLowerDownLeft")


def faces(opening: list[float]) -> Tensor:
    vectors = torch.zeros(1, len(opening), LAYOUT.width)
    vectors[0, :, JAW] = torch.tensor(opening)
    return vectors


def test_closure_between_two_openings_is_detected() -> None:
    found = lip_closures(faces([0.4] * 5 + [0.0] + [0.4] * 5))[0]
    assert found[5] == pytest.approx(1.0)
    assert float(found[:5].max()) < 1e-3


def test_resting_lips_are_not_detected() -> None:
    found = lip_closures(faces([0.4] * 4 + [0.0] * 30))[0]
    assert float(found.max()) < 1e-3  # the mouth does not open again


def test_half_open_mouth_and_parted_lips_are_not_detected() -> None:
    assert float(lip_closures(faces([0.4] * 5 + [0.2] + [0.4] * 5))[0, 5]) < 1e-3
    parted = faces([0.4] * 5 + [0.0] + [0.4] * 5)
    parted[0, 5, LIP] = 1.0
    assert float(lip_closures(parted)[0, 5]) < 0.1


def test_other_face_bases_are_refused() -> None:
    with pytest.raises(ConfigError, match="57 channels"):
        lip_closures(torch.zeros(1, 9, 106))
