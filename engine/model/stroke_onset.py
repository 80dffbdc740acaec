"""Stroke-onset detector: predicts from speech that a stressed vowel is imminent.

Predicting codes frame by frame blurs stroke timing: a network that is unsure whether a word is
stressed makes a small stroke, or one at another time. Here a score per frame predicts a stressed
vowel; where it exceeds a threshold an onset signal is emitted, on which the body decoder is
conditioned for some frames. The detector is stateless: its output depends on the window only.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.layers import Mlp


def delay(x: Tensor, frames: int) -> Tensor:
    """Delay `x` `[B, T]` by so many frames; the first frames are 0."""
    return F.pad(x, (frames, 0))[:, : x.shape[1]]


class StrokeOnsetDetector(nn.Module):
    """Adds an embedded onset signal to speech features `[B, T, D]`.

    score: features to one logit per frame. speakers: embedding added to the features for the score.
    embed_onset: causal convolution over time from the onset signal to D channels; initialised to
    zeros. threshold, threshold_without_words, word_reach, gain, refractory_frames: see
    `OnsetConfig`.
    """

    def __init__(
        self,
        score: Mlp,
        speakers: nn.Embedding,
        embed_onset: nn.Conv1d,
        *,
        threshold: float,
        threshold_without_words: float,
        word_reach: int | None = None,
        gain: float,
        refractory_frames: int,
    ) -> None:
        super().__init__()
        self.score = score
        self.speakers = speakers
        self.tell = embed_onset  # bundles name its tensors so
        self._threshold, self._threshold_without_words = threshold, threshold_without_words
        self._word_reach = word_reach
        self._gain, self._refractory_frames = gain, refractory_frames
        nn.init.zeros_(embed_onset.weight)
        assert embed_onset.bias is not None
        nn.init.zeros_(embed_onset.bias)

    def scores(self, features: Tensor, speaker: Tensor) -> Tensor:
        """Logits `[B, T]` of an onset in each frame; speaker `[B]` int64."""
        return self.score(features + self.speakers(speaker)[:, None])[..., 0]

    def thresholds(self, words: Tensor) -> Tensor:
        """Threshold of each frame's score, `[B, T]` or `[B, 1]`; words `[B, T]` int64.

        Scores are lower where no word is known. Late words leave the newest frames without one, so
        the threshold depends on the known words near each frame.
        """
        known = (words != 0).to(self.tell.weight.dtype)
        reach = self._word_reach
        if reach is None:
            near = known.amax(1, keepdim=True)
        else:
            ones = known.new_ones(1, 1, 2 * reach + 1)
            near = F.conv1d(known[:, None], ones, padding=reach)[:, 0].clamp(max=1.0)
        without = self._threshold_without_words
        return without + (self._threshold - without) * near

    def onset_gate(self, scores: Tensor, words: Tensor) -> Tensor:
        """Onset signal `[B, T]`: close to 1 at onsets, close to 0 elsewhere; words `[B, T]` int64.

        An onset is where the score rises above the threshold, unless it did so within the
        refractory time before. The step is soft, so that rounding in a kernel changes it little.
        """
        above = torch.sigmoid(self._gain * (scores - self.thresholds(words)))
        rising = above * (1.0 - delay(above, 1))
        count = rising.cumsum(1)
        recent = delay(count, 2) - delay(count, self._refractory_frames + 1)
        return rising * (1.0 - recent).clamp(min=0.0)

    def forward(
        self, features: Tensor, words: Tensor, speaker: Tensor, onsets: Tensor | None = None
    ) -> Tensor:
        """Features with the onset signal; onsets `[B, T]` replaces the predicted signal."""
        if onsets is None:
            onsets = self.onset_gate(self.scores(features, speaker), words)
        past = F.pad(onsets[:, None], (self.tell.kernel_size[0] - 1, 0))
        return features + self.tell(past).transpose(1, 2)
