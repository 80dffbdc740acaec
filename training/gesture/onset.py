"""Targets and loss of the stroke-onset detector.

The detector is trained separately: the body decoder is conditioned on the true onsets
(`engine.model.stroke_onset`).
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_TOLERANCE: Final = 1  # frames by which a detection may be early or late
_POSITIVE_WEIGHT: Final = 2.0


def onset_targets(until: Tensor, lead: int) -> Tensor:
    """`[B, T]`: 1 in the frames `lead` before a stressed vowel; until: frames to the next one."""
    # `until` is at least 1: an onset is marked by the frame before it.
    if lead:
        return (until == lead).float()
    return F.pad((until[:, :-1] == 1).float(), (1, 0))


def onset_loss(scores: Tensor, onsets: Tensor) -> Tensor:
    """Binary cross-entropy of the scores `[B, T]`; onsets count one frame early and late too."""
    near = F.max_pool1d(onsets[:, None], 2 * _TOLERANCE + 1, 1, _TOLERANCE)[:, 0]
    weight = torch.tensor(_POSITIVE_WEIGHT, device=near.device)
    return F.binary_cross_entropy_with_logits(scores, near, pos_weight=weight)
