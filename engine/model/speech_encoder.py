"""Content-rhythm attention (EMAGE section 4.2) and the speech encoder around it.

The face and the body hear separately, each through its own branch.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.audio_encoder import FEATURE_SLOPE, fit_frames


class ContentRhythmAttention(nn.Module):
    """alpha * rhythm + (1 - alpha) * content, a weight for each frame and channel (eq. 5).

    score: a module `[B, T, 2D] -> [B, T, 2D]` on [content | rhythm]: two layers in the paper, one
    in the published weights. Read as D pairs, each pair's softmax weighs (rhythm, content).
    """

    def __init__(self, score: nn.Module) -> None:
        super().__init__()
        self.score = score

    def weights(self, content: Tensor, rhythm: Tensor) -> Tensor:
        """The rhythm's share alpha, `[B, T, D]`."""
        scores = self.score(torch.cat((content, rhythm), -1)).unflatten(-1, (-1, 2))
        # The softmax of a pair is the sigmoid of its difference.
        return torch.sigmoid(scores[..., 0] - scores[..., 1])

    def forward(self, content: Tensor, rhythm: Tensor) -> Tensor:
        return torch.lerp(content, rhythm, self.weights(content, rhythm))


class SpeechBranch(nn.Module):
    """What the face, or the body, makes of speech.

    audio: from what the speech encoder's trunk gives to `[B, T', D]`. content and attention: from
    what its word table gives to `[B, T, D]`, and how the two are fused; None for audio alone.
    after: what follows over time, each `[B, T, D] -> [B, T, D]` and added; they begin with nothing.
    crop: whether features beyond the window's frames are dropped; otherwise T may be larger.
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
    """Audio and words to features `[B, T, D]` for the face and for the body.

    trunk and table are shared by both branches; identities where each branch has its own.
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
        """(face, body) features for `words.shape[1]` frames, or more where they are not cropped."""
        frames = words.shape[1]
        heard, read = self.trunk(audio), self.table(words)
        return self.face(heard, read, frames), self.body(heard, read, frames)
