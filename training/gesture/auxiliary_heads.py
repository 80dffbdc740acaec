"""What the speech encoder is to hear beside what codes teach it. Used while learning only."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.gesture.batch import STROKE_FRAMES

MOST_KINDS = 32  # of gestures that a corpus may name, with 0: none
SPANS: Final = ((-6, -4), (-4, -2), (-2, 2), (2, 6), (6, 15))
"""Frames from a stressed vowel's onset, the last one left out: a stroke must set out before it can
be heard what for, it sets out, the vowel begins, the stroke is on its way, the hand comes back."""
_LIFTS: Final = (4.0, 4.0, 4.0, 4.0, 2.0)  # of rare events


class SpeechAuxHeads(nn.Module):
    """What speech features `[B, T, D]` are to tell, used while learning only: where in SPANS a
    frame lies, which kind of gesture goes with the last stress, and the face.

    Codes alone teach stresses, words and lips slowly: they are one cause among many of what a body
    does. Of stresses that are yet to come speech tells much by its rhythm and its words.
    face: channels of the face's vectors.
    """

    def __init__(self, width: int, face: int = 0) -> None:
        super().__init__()
        self.score = nn.Linear(width, len(SPANS))
        self.kind = nn.Linear(width, MOST_KINDS)
        self.face = nn.Linear(width, face) if face else None

    def stresses(self, features: Tensor, since: Tensor, until: Tensor) -> Tensor:
        """Binary entropy of the scores `[B, T, 5]`, rare events lifted."""
        spans = [_within(span, since, until) for span in SPANS]
        truth = torch.stack(spans, -1).float()
        lift = torch.tensor(_LIFTS, device=truth.device)
        return F.binary_cross_entropy_with_logits(self.score(features), truth, pos_weight=lift)

    def meanings(self, features: Tensor, since: Tensor, kind: Tensor) -> Tensor:
        """Entropy of the kind while its stroke is made, over all frames: 0 where none is known."""
        asked = (kind > 0) & (since >= STROKE_FRAMES[0]) & (since <= STROKE_FRAMES[-1])
        scores = self.kind(features).transpose(1, 2)
        entropy = F.cross_entropy(scores, kind % MOST_KINDS, reduction="none")
        return (entropy * asked).sum() / asked.numel()

    def faces(self, features: Tensor) -> Tensor:
        """Face vectors `[B, T, C]` from the face's features alone."""
        if self.face is None:
            raise ValueError("an ear that was made for no face cannot tell one")
        made: Tensor = self.face(features)
        return made


def _within(span: tuple[int, int], since: Tensor, until: Tensor) -> Tensor:
    """Whether a frame is in a span about the last stress or the next one."""
    first, end = span
    after = (since >= first) & (since < end)
    return after | ((-until >= first) & (-until < end))
