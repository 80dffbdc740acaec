"""When hands set out for a stroke: one decision, made from speech before the body moves.

A network that is to choose the code of each frame hedges: unsure whether a word is stressed, it
makes a small movement, or one at some other time. Here a score says frame by frame how sure it is
that a stressed vowel is about to begin; where the score passes a threshold, hands set out, and the
body is told so for some frames. What it learned from strokes that were made, it then makes whole.
Knows no motion, and keeps no state: all is a function of the last frames of the window.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.layers import Mlp


def before(x: Tensor, frames: int) -> Tensor:
    """`x [B, T]` as it was so many frames ago; 0 where that is before the window."""
    return F.pad(x, (frames, 0))[:, : x.shape[1]]


class StrokeOnsetDetector(nn.Module):
    """Adds to speech features `[B, T, D]` what the body is to know of the beginnings of strokes.

    score: features to one logit a frame. speakers: who sets out how readily. tell: over time, from
    one channel to D; begins with nothing. threshold, wordless, word_reach, sharpness, apart: see
    `CueConfig`.
    """

    def __init__(
        self,
        score: Mlp,
        speakers: nn.Embedding,
        tell: nn.Conv1d,
        *,
        threshold: float,
        wordless: float,
        word_reach: int | None = None,
        sharpness: float,
        apart: int,
    ) -> None:
        super().__init__()
        self.score = score
        self.speakers = speakers
        self.tell = tell
        self._threshold, self._wordless = threshold, wordless
        self._word_reach = word_reach
        self._sharpness, self._apart = sharpness, apart
        nn.init.zeros_(tell.weight)
        assert tell.bias is not None
        nn.init.zeros_(tell.bias)

    def scores(self, heard: Tensor, speaker: Tensor) -> Tensor:
        """How likely hands are to set out `[B, T]`, logits; speaker `[B]` int64."""
        return self.score(heard + self.speakers(speaker)[:, None])[..., 0]

    def thresholds(self, words: Tensor) -> Tensor:
        """The score from which on hands set out, `[B, T]` or `[B, 1]`; words `[B, T]` int64.

        A score is lower where no word is known. Late words leave the newest frames without one, so
        that each frame has the threshold of what is known near it.
        """
        known = (words != 0).to(self.tell.weight.dtype)
        reach = self._word_reach
        if reach is None:
            near = known.amax(1, keepdim=True)
        else:
            around = known.new_ones(1, 1, 2 * reach + 1)
            near = F.conv1d(known[:, None], around, padding=reach)[:, 0].clamp(max=1.0)
        return self._wordless + (self._threshold - self._wordless) * near

    def beginnings(self, scores: Tensor, words: Tensor) -> Tensor:
        """`[B, T]`, all but 1 where hands set out, all but 0 elsewhere; words `[B, T]` int64.

        They do where the score rises above the threshold, if it has not in the `apart` frames
        before. Not a hard step: a kernel that rounds otherwise must come out nearly the same.
        """
        above = torch.sigmoid(self._sharpness * (scores - self.thresholds(words)))
        rising = above * (1.0 - before(above, 1))
        risen = rising.cumsum(1)
        lately = before(risen, 2) - before(risen, self._apart + 1)
        return rising * (1.0 - lately).clamp(min=0.0)

    def forward(
        self, heard: Tensor, words: Tensor, speaker: Tensor, begun: Tensor | None = None
    ) -> Tensor:
        """The features with what is told; begun `[B, T]`: in the place of what is decided here."""
        if begun is None:
            begun = self.beginnings(self.scores(heard, speaker), words)
        past = F.pad(begun[:, None], (self.tell.kernel_size[0] - 1, 0))
        return heard + self.tell(past).transpose(1, 2)
