"""Detection of lip closures within speech, which are brief but visually important."""

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import ConfigError
from engine.motion.channels import part_layout
from engine.motion.face_basis import ARKIT_51
from engine.motion.skeleton import BodyPart

_LIPS = ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight")
_CLOSED = 0.06  # value of jawOpen below which a mouth looks closed
_OPEN = 0.25  # value of jawOpen nearby that counts as speech
_NEAR_FRAMES = 6


def _column(name: str) -> int:
    return part_layout(BodyPart.FACE, 0).width + ARKIT_51.coefficients.index(name)


def lip_closures(face: Tensor) -> Tensor:
    """Degree of lip closure `[B, T]`, 0..1, between two openings, of face vectors `[B, T, 57]`.

    Lips that are closed in silence give 0. ConfigError unless the coefficients are ARKit's.
    """
    width = part_layout(BodyPart.FACE, ARKIT_51.width).width
    if face.shape[-1] != width:
        raise ConfigError(
            f"lip_closure_weight needs faces of {width} channels ({ARKIT_51.name}), got "
            f"{face.shape[-1]}: set it to 0"
        )
    jaw = face[..., _column("jawOpen")] - face[..., _column("mouthClose")]
    lips = torch.stack([face[..., _column(name)] for name in _LIPS]).mean(0)
    opening = jaw.clamp(min=0.0) + 0.5 * lips.clamp(min=0.0)
    closed = torch.exp(-((opening / _CLOSED) ** 2))
    before = F.max_pool1d(F.pad(opening, (_NEAR_FRAMES, 0)), _NEAR_FRAMES + 1, 1)
    after = F.max_pool1d(F.pad(opening, (0, _NEAR_FRAMES)), _NEAR_FRAMES + 1, 1)
    return closed * (torch.minimum(before, after) / _OPEN).clamp(0.0, 1.0)
