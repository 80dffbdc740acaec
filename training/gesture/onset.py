"""When hands truly set out for a stroke, and how far a cue's scores are from it.

Learned apart from what the body makes of it: the body is told the truth while it learns
(`engine.model.stroke_onset`).
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_AROUND: Final = 1  # frames by which setting out may be told too soon or too late
_LIFT: Final = 2.0


def beginnings(until: Tensor, lead: int) -> Tensor:
    """`[B, T]`: 1 in the frames `lead` before a stressed vowel begins, of frames until the next."""
    # A frame counts until the next onset, so that the onset itself is told from the frame before.
    if lead:
        return (until == lead).float()
    return F.pad((until[:, :-1] == 1).float(), (1, 0))


def cue_error(scores: Tensor, onsets: Tensor) -> Tensor:
    """Binary entropy of a cue's scores `[B, T]` for `onsets [B, T]`, as it is or a frame away."""
    near = F.max_pool1d(onsets[:, None], 2 * _AROUND + 1, 1, _AROUND)[:, 0]
    lift = torch.tensor(_LIFT, device=near.device)
    return F.binary_cross_entropy_with_logits(scores, near, pos_weight=lift)
