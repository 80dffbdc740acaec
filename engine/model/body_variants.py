"""The paper's variants of the body decoder (EMAGE eq. 6-9, fig. 5).

A path maps `BodyInputs` to features `[B, n, D]` of the frames in `output_slice`.

Equations 7, 9 and 10 write TCAT with its memory first. The outer TCAT of eq. 9 follows that: the
query is the masked gesture, the memory the fused features. The inner one is reversed, as in the
paper's text and the published code: the query is the body hints, the memory the audio features.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.model.layers import ALL, DecoderStack, EncoderLayer


class BodyInputs(NamedTuple):
    """Inputs of a body decoder.

    audio: body speech features `[B, T, A]`. None is masked gesture reconstruction (eq. 7): only the
    cross-attention to the audio is skipped (fig. 3).
    shown `[B, T, D]`: output of the masked motion encoder, projected to D (g in eq. 9; the paper
    does not state how 337 channels become 512).
    refined `[B, T, D]`: shown after self-attention over time (h in eq. 6).
    position `[1, T, D]`, speaker `[B, 1, D]`: embeddings; their sum is p_t.
    """

    audio: Tensor | None
    shown: Tensor
    refined: Tensor
    position: Tensor
    speaker: Tensor


class AudioFusion(nn.Module):
    """Cross-attention of body hints `[B, T, D]` to audio features; skipped without audio."""

    def __init__(self, project: nn.Linear, layers: DecoderStack) -> None:
        super().__init__()
        self.project = project
        self.decoder = layers

    def forward(self, query: Tensor, audio: Tensor | None) -> Tensor:
        return query if audio is None else self.decoder(query, self.project(audio))


class FusionPath(nn.Module):
    """Fig. 5a, straightforward fusion.

    The memory is audio concatenated with unrefined hints, the query is position and speaker.

    project: `[B, T, A + D] -> [B, T, D]`. Missing audio is zeros.
    """

    def __init__(self, project: nn.Linear, layers: DecoderStack) -> None:
        super().__init__()
        self.project = project
        self.decoder = layers

    def forward(self, inputs: BodyInputs, output_slice: slice = ALL) -> Tensor:
        audio, shown = inputs.audio, inputs.shown
        if audio is None:
            channels = self.project.in_features - shown.shape[-1]
            audio = shown.new_zeros(*shown.shape[:-1], channels)
        memory = self.project(torch.cat((audio, shown), -1))
        query = (inputs.position + inputs.speaker).expand(memory.shape)
        return self.decoder(query, memory, output_slice)


class SelfAttentionPath(nn.Module):
    """Fig. 5b, a self-attention decoder over the fused features, as in masked language models.

    The paper does not state how they are fused; here as in 5c.
    """

    def __init__(self, fusion: AudioFusion, layers: Sequence[EncoderLayer]) -> None:
        super().__init__()
        self.fusion = fusion
        self.decoder = nn.Sequential(*layers)

    def forward(self, inputs: BodyInputs, output_slice: slice = ALL) -> Tensor:
        x = self.fusion(inputs.refined + (inputs.position + inputs.speaker), inputs.audio)
        *before, last = self.decoder
        for layer in before:
            x = layer(x)
        return last(x, output_slice)


class CrossAttentionPath(nn.Module):
    """Fig. 5c, selected in the paper: TCAT(TCAT(h + p_t, f_body), g + p_t), eq. 9."""

    def __init__(self, fusion: AudioFusion, layers: DecoderStack) -> None:
        super().__init__()
        self.fusion = fusion
        self.decoder = layers

    def forward(self, inputs: BodyInputs, output_slice: slice = ALL) -> Tensor:
        place = inputs.position + inputs.speaker
        memory = self.fusion(inputs.refined + place, inputs.audio)
        return self.decoder(inputs.shown + place, memory, output_slice)


class PathBody(nn.Module):
    """Latents of upper body, hands and lower body from one path.

    self_attention: TSA of eq. 6. out: one linear map per part; the paper decodes all parts from one
    TCAT and states no further layers.
    """

    def __init__(
        self,
        project_hint: nn.Linear,
        self_attention: Sequence[EncoderLayer],
        path: nn.Module,
        out: Sequence[nn.Linear],
    ) -> None:
        super().__init__()
        self.project_hint = project_hint
        self.self_attention = nn.Sequential(*self_attention)
        self.path = path
        self.out = nn.ModuleList(out)

    def forward(self, inputs: BodyInputs, output_slice: slice = ALL) -> list[Tensor]:
        """Latents `[B, n, D_code]` of each part for the frames in `output_slice`."""
        decoded = self.path(inputs, output_slice)
        return [out(decoded) for out in self.out]
