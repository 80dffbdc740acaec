"""What the speech encoder is to hear beside what codes teach it. Used while learning only."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.gestures.lesson import STROKE_FRAMES

MOST_KINDS = 32  # of gestures that a corpus may name, with 0: none


class SpeechEar(nn.Module):
    """What speech features `[B, T, D]` are to tell, used while learning only: was a stressed
    vowel's onset a moment ago (the hand strokes), was it a little while ago (the hand comes back),
    and which kind of gesture goes with it.

    Codes alone teach stresses and words slowly: they are one cause among many of what a hand does.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, len(STROKE_FRAMES) - 1)
        self.kind = nn.Linear(width, MOST_KINDS)

    def stresses(self, features: Tensor, since: Tensor) -> Tensor:
        """Binary entropy of the scores `[B, T, 2]`, rare events lifted."""
        first, middle, last = STROKE_FRAMES
        soon = (since >= first) & (since < middle)
        later = (since >= middle) & (since <= last)
        truth = torch.stack([soon, later], -1).float()
        lift = torch.tensor([4.0, 2.0], device=truth.device)
        return F.binary_cross_entropy_with_logits(self.score(features), truth, pos_weight=lift)

    def meanings(self, features: Tensor, since: Tensor, kind: Tensor) -> Tensor:
        """Entropy of the kind while its stroke is made, over all frames: 0 where none is known."""
        asked = (kind > 0) & (since >= STROKE_FRAMES[0]) & (since <= STROKE_FRAMES[-1])
        scores = self.kind(features).transpose(1, 2)
        entropy = F.cross_entropy(scores, kind % MOST_KINDS, reduction="none")
        return (entropy * asked).sum() / asked.numel()
