import pytest
import torch
from torch import Tensor

from engine.errors import ConfigError
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.skeleton import BodyPart
from training.gesture.lip_closure import closures

LAYOUT = part_layout(BodyPart.FACE, ARKIT_51.width)
JAW = LAYOUT.width - ARKIT_51.width + ARKIT_51.coefficients.index("jawOpen")
LIP = LAYOUT.width - ARKIT_51.width + ARKIT_51.coefficients.index("mouthLowerDownLeft")


def faces(opening: list[float]) -> Tensor:
    vectors = torch.zeros(1, len(opening), LAYOUT.width)
    vectors[0, :, JAW] = torch.tensor(opening)
    return vectors


def test_lips_that_meet_between_two_openings_count() -> None:
    found = closures(faces([0.4] * 5 + [0.0] + [0.4] * 5))[0]
    assert found[5] == pytest.approx(1.0)
    assert float(found[:5].max()) < 1e-3


def test_lips_that_rest_do_not() -> None:
    found = closures(faces([0.4] * 4 + [0.0] * 30))[0]
    assert float(found.max()) < 1e-3  # nothing opens any more


def test_a_mouth_half_open_is_not_closed_and_parted_lips_are_not() -> None:
    assert float(closures(faces([0.4] * 5 + [0.2] + [0.4] * 5))[0, 5]) < 1e-3
    split_encoder = faces([0.4] * 5 + [0.0] + [0.4] * 5)
    split_encoder[0, 5, LIP] = 1.0
    assert float(closures(split_encoder)[0, 5]) < 0.1


def test_other_faces_are_refused() -> None:
    with pytest.raises(ConfigError, match="57 channels"):
        closures(torch.zeros(1, 9, 106))
