"""The paper's own ways from body hint and audio to the body's latents (EMAGE eq. 6-9, fig. 5).

A path maps (audio `[B, T, A]` or None, shown, refined, place) to `[B, T, D]`, or to those of the
frames that are wanted. shown: the masked
gesture as the motion encoder summed it up, projected to D (g in eq. 9: the paper does not say how
337 channels become 512, so this is that). refined: h of eq. 6, shown after self-attention over
time. place: p_t, speaker and position. Audio of None is masked gesture reconstruction (eq. 7): the
cross-attention with the audio is switched off (fig. 3), and everything else is the same.

Equations 7, 9 and 10 write TCAT with its memory first, and this is followed for the outer TCAT of
eq. 9: the masked gesture asks, what was merged answers. The inner one is taken the other way round,
as text and published code have it: audio features are recombined by the body hints.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.model.layers import EVERY, DecoderStack, EncoderLayer


class AudioFusion(nn.Module):
    """The switchable cross-attention: body hints `[B, T, D]` pick from the audio features."""

    def __init__(self, project: nn.Linear, layers: DecoderStack) -> None:
        super().__init__()
        self.project = project
        self.decoder = layers

    def forward(self, query: Tensor, audio: Tensor | None) -> Tensor:
        return query if audio is None else self.decoder(query, self.project(audio))


class FusionPath(nn.Module):
    """Fig. 5a, straightforward fusion: audio joined with hints that self-attention has not refined
    is the memory, and position and speaker alone are the queries.

    project: `[B, T, A + D] -> [B, T, D]`. Switched off audio is zeros.
    """

    def __init__(self, project: nn.Linear, layers: DecoderStack) -> None:
        super().__init__()
        self.project = project
        self.decoder = layers

    def forward(
        self,
        audio: Tensor | None,
        shown: Tensor,
        refined: Tensor,
        place: Tensor,
        wanted: slice = EVERY,
    ) -> Tensor:
        if audio is None:
            silent = self.project.in_features - shown.shape[-1]
            audio = shown.new_zeros(*shown.shape[:-1], silent)
        memory = self.project(torch.cat((audio, shown), -1))
        return self.decoder(place.expand(memory.shape), memory, wanted)


class SelfAttentionPath(nn.Module):
    """Fig. 5b, a self-attention decoder as in masked language models: no masked gesture asks, the
    merged features are refined among themselves. How they were merged the paper does not say: here
    as in 5c.
    """

    def __init__(self, fusion: AudioFusion, layers: Sequence[EncoderLayer]) -> None:
        super().__init__()
        self.fusion = fusion
        self.decoder = nn.Sequential(*layers)

    def forward(
        self,
        audio: Tensor | None,
        shown: Tensor,
        refined: Tensor,
        place: Tensor,
        wanted: slice = EVERY,
    ) -> Tensor:
        x = self.fusion(refined + place, audio)
        *before, last = self.decoder
        for layer in before:
            x = layer(x)
        return last(x, wanted)


class CrossAttentionPath(nn.Module):
    """Fig. 5c, the selected one: TCAT(TCAT(h + p_t, f_body), g + p_t), eq. 9."""

    def __init__(self, fusion: AudioFusion, layers: DecoderStack) -> None:
        super().__init__()
        self.fusion = fusion
        self.decoder = layers

    def forward(
        self,
        audio: Tensor | None,
        shown: Tensor,
        refined: Tensor,
        place: Tensor,
        wanted: slice = EVERY,
    ) -> Tensor:
        return self.decoder(shown + place, self.fusion(refined + place, audio), wanted)


class PathBody(nn.Module):
    """Latents of upper body, hands and lower body along one path.

    self_attention: TSA of eq. 6. out: one linear map a part; the paper decodes all parts from one
    TCAT and names no further layers.
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

    def forward(
        self,
        audio: Tensor | None,
        shown: Tensor,
        refined: Tensor,
        position: Tensor,
        speaker: Tensor,
        wanted: slice = EVERY,
    ) -> list[Tensor]:
        decoded = self.path(audio, shown, refined, position + speaker, wanted)
        return [out(decoded) for out in self.out]
