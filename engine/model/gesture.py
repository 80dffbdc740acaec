"""GestureModel: the masked audio gesture transformer (EMAGE section 4.3) over one window.

Stateless. Gives, for each part and frame, a regressed latent and scores over the codebook; which of
the two picks the code, and how codes become poses, is the decoder's business.
"""

import torch
from torch import Tensor, nn

from engine.model.body_variants import PathBody
from engine.model.layers import EVERY, DecoderStack, EncoderLayer, Mlp, PeriodicPositions
from engine.model.stroke_onset import StrokeOnsetDetector
from engine.model.types import WindowInputs, WindowOutputs


def align(query: Tensor, memory: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Tell each query which frame of the memory is its own.

    The published designs attend on a memory that carries no positions: a frame can find its own
    sound by content only, and timing is learned slowly. Here the frame's own entry goes onto its
    query, and the memory carries the positions.
    """
    return query + memory, memory + position


class FaceDecoder(nn.Module):
    """Face latents from face audio and the face hint (eq. 10).

    The memory is audio and hint joined; the queries are position and speaker alone, unless aligned:
    see `align`.
    """

    def __init__(
        self, project: nn.Linear, layers: DecoderStack, out: nn.Linear, *, aligned: bool
    ) -> None:
        super().__init__()
        self.project = project
        self.decoder = layers
        self.out = out
        self.aligned = aligned

    def forward(
        self,
        audio: Tensor,
        hint: Tensor,
        position: Tensor,
        speaker: Tensor,
        wanted: slice = EVERY,
    ) -> Tensor:
        """Latents `[B, n, D_code]` of the frames that are wanted."""
        memory = self.project(torch.cat((audio, hint), -1))
        query = (position + speaker).expand(*memory.shape[:2], -1)
        if self.aligned:
            query, memory = align(query, memory, position)
        return self.out(self.decoder(query, memory, wanted))


class PartRefiner(nn.Module):
    """One part of the body takes a look at the other two."""

    def __init__(self, layers: DecoderStack, out: nn.Linear) -> None:
        super().__init__()
        self.decoder = layers
        self.out = out

    def forward(self, own: Tensor, others: Tensor, query: Tensor, wanted: slice = EVERY) -> Tensor:
        """Latents `[B, n, D_code]` of the frames that are wanted.

        own, others, query `[B, T, D]`, the query goes onto own.
        """
        return self.out(self.decoder(own + query, others, wanted) + own[:, wanted])


class BodyDecoder(nn.Module):
    """Latents of upper body, hands and lower body from body audio and the body hint, as in the
    published checkpoints; the paper's own ways (eq. 6-9) are in `engine.model.body_variants`.

    query_speaker: the cross-attention's query carries the speaker, and its result is added to that
    query; otherwise it carries the position only and is added to the self-attended motion.
    refine_position: the refiners' queries carry the position beside the speaker. aligned: see
    `align`.
    """

    def __init__(
        self,
        project_hint: nn.Linear,
        project_audio: nn.Linear,
        self_attention: list[EncoderLayer],
        cross_attention: DecoderStack,
        mlps: list[Mlp],
        refiners: list[PartRefiner],
        *,
        query_speaker: bool,
        refine_position: bool,
        aligned: bool,
    ) -> None:
        super().__init__()
        self.project_hint = project_hint
        self.project_audio = project_audio
        self.self_attention = nn.Sequential(*self_attention)
        self.cross_attention = cross_attention
        self.mlps = nn.ModuleList(mlps)
        self.refiners = nn.ModuleList(refiners)
        self.query_speaker = query_speaker
        self.refine_position = refine_position
        self.aligned = aligned

    def fuse(
        self, audio: Tensor | None, attended: Tensor, position: Tensor, speaker: Tensor
    ) -> Tensor:
        """Audio and self-attended hint merged, `[B, T, D]`; without audio nothing is added."""
        query = attended + (position + speaker if self.query_speaker else position)
        if audio is None:
            return query if self.query_speaker else attended
        memory = self.project_audio(audio)
        if self.aligned:
            query, memory = align(query, memory, position)
        found = self.cross_attention(query, memory)
        return found + (query if self.query_speaker else attended)

    def forward(
        self,
        audio: Tensor | None,
        shown: Tensor,
        refined: Tensor,
        position: Tensor,
        speaker: Tensor,
        wanted: slice = EVERY,
    ) -> list[Tensor]:
        """Latents `[B, n, D_code]` of each part, of the frames that are wanted.

        Every frame of every part is seen by the others' refiners, so that only these are spared.
        """
        fused = self.fuse(audio, refined, position, speaker)
        own = [mlp(fused) for mlp in self.mlps]
        query = speaker + position if self.refine_position else speaker
        upper, hands, lower = own
        others = (hands + lower, upper + lower, upper + hands)
        return [
            refiner(own[i], others[i], query, wanted) for i, refiner in enumerate(self.refiners)
        ]


class GestureModel(nn.Module):
    """Speech and a partly visible gesture in, latents and code scores of all parts out.

    speech: (audio, words) to face and body features. motion: (motion, mask) to hints. hints and
    speakers: of face and body; None for the face where it has the body's, as in the paper: h and
    p_t of eq. 6 are also those of eq. 10. classifiers: one a part, in the order of BodyPart. cue:
    decides upon strokes from the body's speech features.
    """

    def __init__(
        self,
        speech: nn.Module,
        motion: nn.Module,
        hints: tuple[nn.Module | None, nn.Module],
        positions: PeriodicPositions,
        speakers: tuple[nn.Embedding | None, nn.Embedding],
        face: FaceDecoder,
        body: BodyDecoder | PathBody,
        classifiers: list[Mlp],
        cue: StrokeOnsetDetector | None = None,
    ) -> None:
        super().__init__()
        self.speech = speech
        self.motion = motion
        self.face_hint, self.body_hint = hints
        self.positions = positions
        self.face_speaker, self.body_speaker = speakers
        self.face = face
        self.body = body
        self.classifiers = nn.ModuleList(classifiers)
        self.cue = cue

    def forward(
        self,
        inputs: WindowInputs,
        *,
        listen: bool = True,
        newest: int | None = None,
        begun: Tensor | None = None,
    ) -> WindowOutputs:
        """Forward over T frames; parts in the order of BodyPart.

        newest: give only so many of the newest frames, the same to rounding; all unless given.
        listen: False is masked gesture reconstruction (eq. 7): the body is made of the visible
        motion alone. The face always hears, in the published training too.
        begun `[B, T]`: 1 where hands set out for a stroke, for a model with a cue; unless given it
        decides.
        """
        heard_face, heard_body = self.speech(inputs.audio, inputs.words)
        if self.cue is not None:
            heard_body = self.cue(heard_body, inputs.words, inputs.speaker, begun)
        hint = self.motion(inputs.motion, inputs.mask)
        position = self.positions(hint.shape[1])
        speaker = self.body_speaker(inputs.speaker)[:, None]
        shown = self.body.project_hint(self.body_hint(hint))
        refined = self.body.self_attention(shown + (position + speaker))
        wanted = EVERY if newest is None else slice(-newest, None)
        face = self._face(heard_face, hint, refined, position, inputs.speaker, wanted)
        heard = heard_body if listen else None
        body = self.body(heard, shown, refined, position, speaker, wanted)
        latents = (face, *body)
        pairs = zip(self.classifiers, latents, strict=True)
        return WindowOutputs(latents, tuple(classify(latent) for classify, latent in pairs))

    def _face(
        self,
        audio: Tensor,
        hint: Tensor,
        refined: Tensor,
        position: Tensor,
        speaker: Tensor,
        wanted: slice,
    ) -> Tensor:
        own_hint = refined if self.face_hint is None else self.face_hint(hint)
        embed = self.body_speaker if self.face_speaker is None else self.face_speaker
        return self.face(audio, own_hint, position, embed(speaker)[:, None], wanted)
