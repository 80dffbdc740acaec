"""Content-rhythm attention (EMAGE section 4.2) and the speech encoder.

The encoder has one branch for the face and one for the body.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.audio_encoder import FEATURE_SLOPE, fit_frames


class ContentRhythmAttention(nn.Module):
    """alpha * rhythm + (1 - alpha) * content, with a weight per frame and channel (eq. 5).

    score: module `[B, T, 2D] -> [B, T, 2D]` on [content | rhythm], with two layers in the paper and
    one in the published weights. The output is D pairs; the softmax of a pair weights (rhythm,
    content).
    """

    def __init__(self, score: nn.Module) -> None:
        super().__init__()
        self.score = score

    def weights(self, content: Tensor, rhythm: Tensor) -> Tensor:
        """Weight alpha of the rhythm, `[B, T, D]`."""
        scores = self.score(torch.cat((content, rhythm), -1)).unflatten(-1, (-1, 2))
        # The softmax of a pair is the sigmoid of the difference.
        return torch.sigmoid(scores[..., 0] - scores[..., 1])

    def forward(self, content: Tensor, rhythm: Tensor) -> Tensor:
        return torch.lerp(content, rhythm, self.weights(content, rhythm))


class SpeechBranch(nn.Module):
    """Speech features of the face or of the body.

    audio: from the trunk's output to `[B, T', D]`. content: from the word table's output to
    `[B, T, D]`; None for audio alone. attention: fuses the two. after: residual layers over time,
    each `[B, T, D] -> [B, T, D]`; initialised to zeros. crop: drop steps beyond the window's
    frames; otherwise T may be larger.
    """

    def __init__(
        self,
        audio: nn.Module,
        content: nn.Module | None = None,
        attention: ContentRhythmAttention | None = None,
        after: Sequence[nn.Module] = (),
        *,
        crop: bool = True,
    ) -> None:
        super().__init__()
        self.audio = audio
        self.content = content
        self.attention = attention
        self.after = nn.ModuleList(after)
        self.crop = crop
        for parameter in self.after.parameters():
            nn.init.zeros_(parameter)

    def forward(self, audio: Tensor, words: Tensor, frames: int) -> Tensor:
        x = self.audio(audio)
        x = fit_frames(x, frames if self.crop else max(frames, x.shape[1]))
        if self.content is not None and self.attention is not None:
            x = self.attention(self.content(words), x)
        for layer in self.after:
            x = x + F.leaky_relu(layer(x), FEATURE_SLOPE)
        return x


class SpeechEncoder(nn.Module):
    """Speech features `[B, T, D]` of face and body from audio and words.

    trunk and table are shared by both branches, or identities if each branch has its own.
    """

    def __init__(
        self, trunk: nn.Module, table: nn.Module, face: SpeechBranch, body: SpeechBranch
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.table = table
        self.face = face
        self.body = body

    def forward(self, audio: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """(face, body) features of `words.shape[1]` frames, or more if a branch does not crop."""
        frames = words.shape[1]
        audio, words = self.trunk(audio), self.table(words)
        return self.face(audio, words, frames), self.body(audio, words, frames)
