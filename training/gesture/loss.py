"""What the gesture transformer learns by: errors of codes, latents and faces, and the ear's.

Knows lessons and outputs; nothing of files, corpora and the loop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.config.model import GestureConfig
from engine.errors import ConfigError
from engine.model.gesture import GestureModel
from engine.model.part_vae import PartVae
from engine.model.types import WindowInputs, WindowOutputs
from engine.motion.skeleton import BodyPart
from training.gesture.auxiliary_heads import SpeechAuxHeads
from training.gesture.batch import BatchSampler, TrainingBatch
from training.gesture.dataset_heads import Headed, Heads
from training.gesture.lip_closure import closures
from training.gesture.onset import beginnings, cue_error
from training.gesture.rollout import Rollout
from training.gesture.settings import GestureTraining
from training.loop.loop import LossTerms, autocast


def losses(
    outputs: WindowOutputs, lesson: TrainingBatch, scale: Tensor, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(latent error, class error, right codes `[P]`), averages over frames by their weight.

    Parts that were not recorded count nothing.
    """
    every = (lesson.weight / lesson.weight.numel())[..., None] * lesson.known
    latent_error, class_error, right = [], [], []
    for p in range(len(BodyPart)):
        weight = every[..., p]
        square = (outputs.latents[p] - lesson.latents[:, :, p]).square().mean(-1) / scale[p]
        latent_error.append((square * weight).sum())
        logits = outputs.logits[p]
        codes = lesson.codes[:, :, p] % logits.shape[-1]  # of several codebooks, the first one's
        # As rows: over scores that lie apart in memory a softmax takes twice as long.
        entropy = F.cross_entropy(
            logits.flatten(0, 1), codes.flatten(), reduction="none", label_smoothing=smoothing
        )
        class_error.append((entropy * weight.flatten()).sum())
        hit = (logits.argmax(-1) == codes).float()
        right.append((hit * weight).sum().detach())
    return torch.stack(latent_error).mean(), torch.stack(class_error).mean(), torch.stack(right)


class FaceTruth(NamedTuple):
    """The face to be made: vectors `[B, T, C]`, and the weight `[B, T]` of each frame's error."""

    vectors: Tensor
    weight: Tensor

    def error(self, made: Tensor) -> Tensor:
        """Absolute error of face vectors, an average over frames by their weight.

        An error of latents alone makes a face that is right on average, whose lips hardly meet.
        """
        error = (made - self.vectors).abs().mean(-1)
        return (error * self.weight).sum() / self.weight.numel()


_FACE = list(BodyPart).index(BodyPart.FACE)


@torch.no_grad()
def face_truth(vae: PartVae, lesson: TrainingBatch, lip_closure_weight: float = 0.0) -> FaceTruth:
    """Decoded face of a batch; errors where lips meet count by 1 + `lip_closure_weight`."""
    true = vae.decode(lesson.latents[:, :, _FACE])
    weight = lesson.weight * lesson.known[..., _FACE]
    if lip_closure_weight:
        weight = weight * (1.0 + lip_closure_weight * closures(true))
    return FaceTruth(true, weight)


def reconstruction(outputs: WindowOutputs, latents: Tensor, scale: Tensor) -> Tensor:
    """Absolute error `[B]` of the body's latents `[B, T, P, D]` (eq. 8), in their own spread."""
    errors = [
        (outputs.latents[p] - latents[:, :, p]).abs().mean((1, 2)) / scale[p].sqrt()
        for p, part in enumerate(BodyPart)
        if part is not BodyPart.FACE
    ]
    return torch.stack(errors).mean(0)


@torch.no_grad()
def next_hit(outputs: WindowOutputs, lesson: TrainingBatch) -> Tensor:
    """How often the upper body's code of the first frame of the hidden end is right, a scalar."""
    first = lesson.ends.float().argmax(1)
    rows = torch.arange(len(first), device=first.device)
    upper = list(BodyPart).index(BodyPart.UPPER)
    made = outputs.logits[upper][rows, first].argmax(-1)
    true = lesson.codes[rows, first, upper] % outputs.logits[upper].shape[-1]
    return (made == true).float().mean()


@dataclass(frozen=True)
class Material:
    """A data set, ready to be learned. folder: where its model is written."""

    config: GestureConfig
    lessons: BatchSampler
    own: Rollout
    folder: Path
    share: float = 1.0


def face_channels(materials: Sequence[Material]) -> int:
    """Of the vectors that the face autoencoders make; ConfigError where data sets differ in it."""
    found = set()
    for each in materials:
        vae = each.own.face
        device = next(vae.parameters()).device
        found.add(vae.decode(torch.zeros(1, 1, vae.code_dim, device=device)).shape[-1])
    if len(found) != 1:
        raise ConfigError(
            "face_probe_weight needs data sets with one kind of face, got "
            f"{sorted(found)} channels: set it to 0"
        )
    return int(found.pop())


class GestureLoss(nn.Module):
    """Learns the model, and beside it the ear.

    model: for the codes of the first of `materials`; the others get heads of their own.
    """

    def __init__(
        self, model: GestureModel, settings: GestureTraining, materials: Sequence[Material]
    ) -> None:
        super().__init__()
        self.model = model
        self.heads = nn.ModuleList(Heads(each.config) for each in materials[1:])
        channels = face_channels(materials) if settings.face_probe_weight else 0
        self.ear = SpeechAuxHeads(materials[0].config.audio.width, channels)
        self.scales: Tensor  # [K, P]
        scales = torch.stack([each.lessons.windows.latent_scale for each in materials])
        self.register_buffer("scales", scales, persistent=False)
        self._settings, self._own = settings, [each.own for each in materials]
        self._heard: list[tuple[Tensor, Tensor]] = []
        model.speech.register_forward_hook(lambda *passed: self._heard.append(passed[-1]))

    def network(self, source: int) -> nn.Module:
        """The model with the heads of a data set."""
        return Headed(self.model, cast(Heads, self.heads[source - 1])) if source else self.model

    def forward(self, lesson: TrainingBatch, step: int, draws: torch.Generator) -> LossTerms:
        """Terms for a lesson; those shown are not yet weighted."""
        settings, inputs = self._settings, lesson.inputs
        sources = lesson.source
        source = int(sources[0]) if isinstance(sources, Tensor) and len(sources) else 0
        model = self.network(source)
        if lesson.task:
            made = self._own[source].into(model, inputs.motion, lesson.task)
            inputs = inputs._replace(motion=made)
        self._heard.clear()
        onsets = self._begun(lesson)
        outputs = self._outputs(model, inputs, onsets=onsets)
        heard_face, heard = (features.float() for features in self._heard.pop())
        ear = self.ear.stresses(heard, lesson.since, lesson.until)
        kind = self.ear.meanings(heard, lesson.since, lesson.kind)
        latent, entropy, right = losses(outputs, lesson, self.scales[source], settings.smoothing)
        total = settings.latent_weight * latent + entropy
        total = total + settings.stress_weight_aux * ear + settings.gesture_class_weight * kind
        shown = {"latent": latent, "nll": entropy, "ear": ear, "kind": kind}
        if self.model.cue is not None and onsets is not None:
            shown["cue"] = cue_error(self.model.cue.scores(heard, inputs.speaker), onsets)
            total = total + settings.onset_weight * shown["cue"]
        if settings.face_weight or settings.face_probe_weight:
            vae = self._own[source].face
            truth = face_truth(vae, lesson, settings.lip_closure_weight)
            shown["face"] = truth.error(vae.decode(outputs.latents[_FACE]))
            total = total + settings.face_weight * shown["face"]
        if settings.face_probe_weight:
            shown["lips"] = truth.error(self.ear.faces(heard_face))
            total = total + settings.face_probe_weight * shown["lips"]
        if settings.reconstruct_weight:
            shown["hints"] = self._reconstruct(model, lesson, self.scales[source])
            total = total + settings.reconstruct_weight * shown["hints"]
        shown |= {f"hit_{part}": hit for part, hit in zip(BodyPart, right, strict=True)}
        return LossTerms(total, shown | {"next_upper": next_hit(outputs, lesson)})

    def _begun(self, lesson: TrainingBatch) -> Tensor | None:
        """When hands truly set out: what the body makes of it is learned apart from when."""
        cue = self._settings.onset
        return None if cue is None else beginnings(lesson.until, cue.lead_frames)

    def _outputs(
        self,
        model: nn.Module,
        inputs: WindowInputs,
        *,
        use_audio: bool = True,
        onsets: Tensor | None = None,
    ) -> WindowOutputs:
        with autocast(self._settings.loop, inputs.motion.device):
            outputs = model(inputs, use_audio=use_audio, onsets=onsets)
        return WindowOutputs(*(tuple(x.float() for x in each) for each in outputs))

    def _reconstruct(self, model: nn.Module, lesson: TrainingBatch, scale: Tensor) -> Tensor:
        """The error of gestures made of hints alone (eq. 7, 8)."""
        rows = lesson.hinted > 0
        if not rows.any():
            return lesson.hinted.sum()
        inputs = WindowInputs(*(field[rows] for field in lesson.inputs))
        outputs = self._outputs(model, inputs, use_audio=False)
        errors = reconstruction(outputs, lesson.latents[rows], scale)
        return (errors * lesson.hinted[rows]).sum() / len(rows)
