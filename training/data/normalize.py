"""Standardised motion for training, folded into the first layer for inference.

Rotation channels vary by hundredths, contacts by 1; without scaling, small channels are learned
last. `fold` builds the scales into the first layer, so that the exported model takes raw motion and
computes the same.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.model.gesture import GestureModel
from engine.model.motion_encoder import MaskedMotionEncoder, SpatialMotionEncoder

_SMALLEST = 0.03  # lower limit, so that nearly constant channels are not amplified


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation `[C]` of each channel."""

    mean: Tensor
    deviation: Tensor

    def to(self, device: torch.device) -> "Scaling":
        """Copy on `device`."""
        return Scaling(self.mean.to(device), self.deviation.to(device))

    def apply(self, motion: Tensor) -> Tensor:
        """Standardise motion `[..., C]`."""
        return (motion - self.mean) / self.deviation


def scaling_of(motion: Tensor) -> Scaling:
    """Measure the scaling of motion `[N, C]`."""
    return Scaling(motion.mean(0), motion.std(0).clamp(min=_SMALLEST))


@torch.no_grad()
def fold(model: GestureModel, scaling: Scaling) -> GestureModel:
    """Copy of `model` that takes raw instead of standardised motion.

    ConfigError for a design without a motion embedding.
    """
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
def unfold(model: GestureModel, scaling: Scaling) -> GestureModel:
    """Copy of `model` that takes standardised instead of raw motion; the inverse of `fold`."""
    mean, deviation = scaling.mean, scaling.deviation
    return fold(model, Scaling(-mean / deviation, 1.0 / deviation))


def _fold(layer: nn.Module, mean: Tensor, deviation: Tensor) -> None:
    """Fold the scaling of the first channels into a linear layer; the rest may be a mask."""
    assert isinstance(layer, nn.Linear)
    weight = layer.weight[:, : len(mean)] / deviation
    layer.bias.sub_(weight @ mean)
    layer.weight[:, : len(mean)] = weight
