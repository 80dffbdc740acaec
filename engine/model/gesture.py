"""Masked audio gesture transformer (EMAGE section 4.3): one stateless forward pass over a window.

It outputs a regressed latent and scores over the codebook for each part and frame. Codes are
selected by `engine.generate.step` and decoded to poses by `engine.generate.decoder`.
"""

import torch
from torch import Tensor, nn

from engine.model.body_variants import BodyInputs, PathBody
from engine.model.layers import ALL, DecoderStack, EncoderLayer, Mlp, PeriodicPositions
from engine.model.stroke_onset import StrokeOnsetDetector
from engine.model.types import WindowInputs, WindowOutputs


def align(query: Tensor, memory: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Match each query with the memory of its own frame.

    In the published designs the memory has no positions, so that a frame finds its own audio by
    content only and timing is learned slowly. Here the memory of the same frame is added to the
    query, and positions are added to the memory.
    """
    return query + memory, memory + position


class FaceDecoder(nn.Module):
    """Face latents from face audio and the face hint (eq. 10).

    The memory is audio and hint, concatenated and projected; the queries are position and speaker,
    see `align` for `attend_aligned`.
    """

    def __init__(
        self, project: nn.Linear, layers: DecoderStack, out: nn.Linear, *, attend_aligned: bool
    ) -> None:
        super().__init__()
        self.project = project
        self.decoder = layers
        self.out = out
        self.attend_aligned = attend_aligned

    def forward(
        self,
        audio: Tensor,
        hint: Tensor,
        position: Tensor,
        speaker: Tensor,
        output_slice: slice = ALL,
    ) -> Tensor:
        """Latents `[B, n, D_code]` of the frames in `output_slice`."""
        memory = self.project(torch.cat((audio, hint), -1))
        query = (position + speaker).expand(*memory.shape[:2], -1)
        if self.attend_aligned:
            query, memory = align(query, memory, position)
        return self.out(self.decoder(query, memory, output_slice))


class PartRefiner(nn.Module):
    """Attention of one body part to the other two."""

    def __init__(self, layers: DecoderStack, out: nn.Linear) -> None:
        super().__init__()
        self.decoder = layers
        self.out = out

    def forward(
        self, own: Tensor, others: Tensor, query: Tensor, output_slice: slice = ALL
    ) -> Tensor:
        """Latents `[B, n, D_code]` of the frames in `output_slice`.

        own, others, query `[B, T, D]`; query is added to own.
        """
        return self.out(self.decoder(own + query, others, output_slice) + own[:, output_slice])


class BodyDecoder(nn.Module):
    """Latents of upper body, hands and lower body, as in the published checkpoints.

    The paper's variants (eq. 6-9) are in `engine.model.body_variants`.

    speaker_in_query: the query of the cross-attention carries the speaker, and the result is added
    to that query; otherwise it carries the position only and the result is added to the
    self-attended motion. position_in_refiner: the refiners' queries carry the position besides the
    speaker. attend_aligned: see `align`.
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
        speaker_in_query: bool,
        position_in_refiner: bool,
        attend_aligned: bool,
    ) -> None:
        super().__init__()
        self.project_hint = project_hint
        self.project_audio = project_audio
        self.self_attention = nn.Sequential(*self_attention)
        self.cross_attention = cross_attention
        self.mlps = nn.ModuleList(mlps)
        self.refiners = nn.ModuleList(refiners)
        self.speaker_in_query = speaker_in_query
        self.position_in_refiner = position_in_refiner
        self.attend_aligned = attend_aligned

    def fuse(
        self, audio: Tensor | None, attended: Tensor, position: Tensor, speaker: Tensor
    ) -> Tensor:
        """Fuse audio with the self-attended hint, `[B, T, D]`; None skips the audio."""
        query = attended + (position + speaker if self.speaker_in_query else position)
        if audio is None:
            return query if self.speaker_in_query else attended
        memory = self.project_audio(audio)
        if self.attend_aligned:
            query, memory = align(query, memory, position)
        found = self.cross_attention(query, memory)
        return found + (query if self.speaker_in_query else attended)

    def forward(self, inputs: BodyInputs, output_slice: slice = ALL) -> list[Tensor]:
        """Latents `[B, n, D_code]` of each part for the frames in `output_slice`.

        Only the refiners skip the other frames, because they attend to all frames of all parts.
        """
        position, speaker = inputs.position, inputs.speaker
        fused = self.fuse(inputs.audio, inputs.refined, position, speaker)
        own = [mlp(fused) for mlp in self.mlps]
        query = speaker + position if self.position_in_refiner else speaker
        upper, hands, lower = own
        others = (hands + lower, upper + lower, upper + hands)
        return [
            refiner(own[i], others[i], query, output_slice)
            for i, refiner in enumerate(self.refiners)
        ]


class GestureModel(nn.Module):
    """Latents and code scores of all parts from speech and a masked gesture.

    speech: (audio, words) to face and body features. motion: (motion, mask) to hints. hints and
    speakers: of face and body; None for the face to share the body's, as in the paper, where h and
    p_t of eq. 6 are also those of eq. 10. classifiers: one per part, in the order of BodyPart.
    onset_detector: applied to the body's speech features.
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
        onset_detector: StrokeOnsetDetector | None = None,
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
        self.cue = onset_detector  # bundles name its tensors so

    def forward(
        self,
        inputs: WindowInputs,
        *,
        use_audio: bool = True,
        newest: int | None = None,
        onsets: Tensor | None = None,
    ) -> WindowOutputs:
        """Forward pass over T frames; parts in the order of BodyPart.

        use_audio: False reconstructs the body from the visible motion alone (eq. 7). The face
        always uses audio, as in the published training.
        newest: number of newest frames in the outputs, with the same values up to rounding; None
        for all.
        onsets `[B, T]`: onset signal, 1 at a stroke onset; None for the detector's prediction.
        """
        face_speech, body_speech = self.speech(inputs.audio, inputs.words)
        if self.cue is not None:
            body_speech = self.cue(body_speech, inputs.words, inputs.speaker, onsets)
        hint = self.motion(inputs.motion, inputs.mask)
        position = self.positions(hint.shape[1])
        speaker = self.body_speaker(inputs.speaker)[:, None]
        shown = self.body.project_hint(self.body_hint(hint))
        refined = self.body.self_attention(shown + (position + speaker))
        output_slice = ALL if newest is None else slice(-newest, None)
        face = self._face(face_speech, hint, refined, position, inputs.speaker, output_slice)
        audio = body_speech if use_audio else None
        body = self.body(BodyInputs(audio, shown, refined, position, speaker), output_slice)
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
        output_slice: slice,
    ) -> Tensor:
        own_hint = refined if self.face_hint is None else self.face_hint(hint)
        embed = self.body_speaker if self.face_speaker is None else self.face_speaker
        return self.face(audio, own_hint, position, embed(speaker)[:, None], output_slice)
