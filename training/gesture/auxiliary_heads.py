"""Auxiliary heads of the speech encoder; used in training only."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.gesture.batch import STROKE_FRAMES

MAX_CLASSES = 32
"""Number of gesture classes of a corpus, including 0 for none."""
SPANS: Final = ((-6, -4), (-4, -2), (-2, 2), (2, 6), (6, 15))
"""Target intervals in frames relative to the stressed-vowel onset, end exclusive: anticipation,
preparation, onset, stroke, retraction."""
_POSITIVE_WEIGHTS: Final = (4.0, 4.0, 4.0, 4.0, 2.0)  # because the events are rare


class SpeechAuxHeads(nn.Module):
    """Predict stress intervals, gesture class and face from speech features `[B, T, D]`.

    Codes alone teach the speech encoder slowly, because speech is only one of many causes of
    motion. Upcoming stresses can be predicted from rhythm and words.
    face: channels of the face vectors; 0: no face head.
    """

    def __init__(self, width: int, face: int = 0) -> None:
        super().__init__()
        self.score = nn.Linear(width, len(SPANS))
        self.kind = nn.Linear(width, MAX_CLASSES)
        self.face = nn.Linear(width, face) if face else None

    def stress_loss(self, features: Tensor, since: Tensor, until: Tensor) -> Tensor:
        """Binary cross-entropy of the intervals in SPANS, positives weighted.

        since, until: frames `[B, T]` since the last and until the next stress.
        """
        truth = torch.stack([_within(span, since, until) for span in SPANS], -1).float()
        weights = torch.tensor(_POSITIVE_WEIGHTS, device=truth.device)
        return F.binary_cross_entropy_with_logits(self.score(features), truth, pos_weight=weights)

    def class_loss(self, features: Tensor, since: Tensor, gesture_class: Tensor) -> Tensor:
        """Cross-entropy of the gesture class during strokes of a known class, over all frames."""
        stroke = (since >= STROKE_FRAMES[0]) & (since <= STROKE_FRAMES[-1])
        scores = self.kind(features).transpose(1, 2)
        entropy = F.cross_entropy(scores, gesture_class % MAX_CLASSES, reduction="none")
        return (entropy * (stroke & (gesture_class > 0))).sum() / since.numel()

    def face_vectors(self, features: Tensor) -> Tensor:
        """Predict face vectors `[B, T, C]`; ValueError without a face head."""
        if self.face is None:
            raise ValueError("SpeechAuxHeads was built with face=0: it has no face head")
        vectors: Tensor = self.face(features)
        return vectors


def _within(span: tuple[int, int], since: Tensor, until: Tensor) -> Tensor:
    """Frames in an interval relative to the last or the next stress, bool."""
    first, end = span
    after = (since >= first) & (since < end)
    return after | ((-until >= first) & (-until < end))
