"""Motion in even scales while learning, in its own scales when shipped.

Rotation channels differ from rest by a few hundredths, contacts by one: unscaled, a net learns the
fine ones last. Training shows standardised motion; `folded` builds the scales into the first layer,
so that the shipped model takes motion as it is and computes the same.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.model.gesture import GestureModel
from engine.model.motion_encoder import MaskedMotionEncoder, SpatialMotionEncoder

_SMALLEST = 0.03  # channels that hardly move are not blown up


@dataclass(frozen=True)
class Scaling:
    """mean and deviation of each channel, `[C]`."""

    mean: Tensor
    deviation: Tensor

    def to(self, device: torch.device) -> "Scaling":
        """The same scales for motion on `device`."""
        return Scaling(self.mean.to(device), self.deviation.to(device))

    def apply(self, motion: Tensor) -> Tensor:
        """Standardised motion `[..., C]`."""
        return (motion - self.mean) / self.deviation


def scaling_of(motion: Tensor) -> Scaling:
    """The scales of motion `[N, C]`."""
    return Scaling(motion.mean(0), motion.std(0).clamp(min=_SMALLEST))


@torch.no_grad()
def folded(model: GestureModel, scaling: Scaling) -> GestureModel:
    """A copy that does with motion what `model` does with standardised motion."""
    result = deepcopy(model)
    encoder = result.motion
    scaling = scaling.to(next(result.parameters()).device)
    if isinstance(encoder, SpatialMotionEncoder):
        means, deviations = (
            torch.split(x, encoder.sizes) for x in (scaling.mean, scaling.deviation)
        )
        for embed, mean, deviation in zip(encoder.embed, means, deviations, strict=True):
            _fold(embed, mean, deviation)
    elif isinstance(encoder, MaskedMotionEncoder) and encoder.embed is not None:
        _fold(encoder.embed, scaling.mean, scaling.deviation)
        encoder.mask_embedding.mul_(scaling.deviation).add_(scaling.mean)
    else:
        raise ConfigError("expected a motion encoder that embeds channels; use the live design")
    return result


@torch.no_grad()
def unfolded(model: GestureModel, scaling: Scaling) -> GestureModel:
    """A copy that does with standardised motion what `model` does with motion."""
    mean, deviation = scaling.mean, scaling.deviation
    return folded(model, Scaling(-mean / deviation, 1.0 / deviation))


def _fold(layer: nn.Module, mean: Tensor, deviation: Tensor) -> None:
    """Build scales of the first channels into a linear layer; the others may be a mask."""
    assert isinstance(layer, nn.Linear)
    weight = layer.weight[:, : len(mean)] / deviation
    layer.bias.sub_(weight @ mean)
    layer.weight[:, : len(mean)] = weight
