"""Losses of the gesture transformer: codes, latents, decoded face, auxiliary heads, onsets."""

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
from training.gesture.dataset_heads import Heads, WithHeads
from training.gesture.lip_closure import lip_closures
from training.gesture.onset import onset_loss, onset_targets
from training.gesture.rollout import Rollout
from training.gesture.settings import GestureTraining
from training.loop.loop import LossTerms, autocast

RENAMED_MODULES = {"ear": "auxiliary"}
"""Current names of submodules by their names in older checkpoints."""

_FACE = list(BodyPart).index(BodyPart.FACE)
_UPPER = list(BodyPart).index(BodyPart.UPPER)


def losses(
    outputs: WindowOutputs, batch: TrainingBatch, scale: Tensor, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(latent error, cross-entropy of the codes, accuracy `[P]`), weighted means over frames.

    Parts that were not recorded count 0. scale `[P]`: variance of the latents.
    """
    weights = (batch.weight / batch.weight.numel())[..., None] * batch.valid_parts
    latent_error, code_error, accuracy = [], [], []
    for p in range(len(BodyPart)):
        weight = weights[..., p]
        square = (outputs.latents[p] - batch.latents[:, :, p]).square().mean(-1) / scale[p]
        latent_error.append((square * weight).sum())
        logits = outputs.logits[p]
        codes = batch.codes[:, :, p] % logits.shape[-1]  # of several codebooks, the first
        # Flattened, because softmax over non-contiguous scores takes twice as long.
        entropy = F.cross_entropy(
            logits.flatten(0, 1), codes.flatten(), reduction="none", label_smoothing=smoothing
        )
        code_error.append((entropy * weight.flatten()).sum())
        hit = (logits.argmax(-1) == codes).float()
        accuracy.append((hit * weight).sum().detach())
    return torch.stack(latent_error).mean(), torch.stack(code_error).mean(), torch.stack(accuracy)


class FaceTruth(NamedTuple):
    """True face vectors `[B, T, C]` and the weight `[B, T]` of each frame."""

    vectors: Tensor
    weight: Tensor

    def error(self, predicted: Tensor) -> Tensor:
        """Absolute error of face vectors, a weighted mean over frames.

        An error of latents alone averages lip closures away.
        """
        error = (predicted - self.vectors).abs().mean(-1)
        return (error * self.weight).sum() / self.weight.numel()


@torch.no_grad()
def face_truth(vae: PartVae, batch: TrainingBatch, lip_closure_weight: float = 0.0) -> FaceTruth:
    """Decode the true face; lip closures get 1 + `lip_closure_weight` times the weight."""
    true = vae.decode(batch.latents[:, :, _FACE])
    weight = batch.weight * batch.valid_parts[..., _FACE]
    if lip_closure_weight:
        weight = weight * (1.0 + lip_closure_weight * lip_closures(true))
    return FaceTruth(true, weight)


def reconstruction(outputs: WindowOutputs, latents: Tensor, scale: Tensor) -> Tensor:
    """Absolute error `[B]` of the body's latents `[B, T, P, D]` (eq. 8), in standard deviations."""
    errors = [
        (outputs.latents[p] - latents[:, :, p]).abs().mean((1, 2)) / scale[p].sqrt()
        for p, part in enumerate(BodyPart)
        if part is not BodyPart.FACE
    ]
    return torch.stack(errors).mean(0)


@torch.no_grad()
def next_hit(outputs: WindowOutputs, batch: TrainingBatch) -> Tensor:
    """Accuracy of the upper body's code in the first target frame, a scalar."""
    first = batch.target.float().argmax(1)
    rows = torch.arange(len(first), device=first.device)
    predicted = outputs.logits[_UPPER][rows, first].argmax(-1)
    true = batch.codes[rows, first, _UPPER] % outputs.logits[_UPPER].shape[-1]
    return (predicted == true).float().mean()


@dataclass(frozen=True)
class TrainingSet:
    """A data set, ready for training.

    Attributes:
        config: configuration of its network.
        sampler: draws its batches.
        rollout: generates history.
        folder: where its network is written.
        share: relative share of the training steps.

    """

    config: GestureConfig
    sampler: BatchSampler
    rollout: Rollout
    folder: Path
    share: float = 1.0


def face_channels(sets: Sequence[TrainingSet]) -> int:
    """Number of channels of the face vectors; ConfigError if the data sets differ in it."""
    found = set()
    for each in sets:
        vae = each.rollout.face
        device = next(vae.parameters()).device
        found.add(vae.decode(torch.zeros(1, 1, vae.code_dim, device=device)).shape[-1])
    if len(found) != 1:
        raise ConfigError(
            "face_probe_weight needs data sets with one kind of face, got "
            f"{sorted(found)} channels: set it to 0"
        )
    return int(found.pop())


class GestureLoss(nn.Module):
    """The model with its auxiliary heads; computes all loss terms.

    model: for the codes of the first of `sets`; the others get their own heads.
    """

    def __init__(
        self, model: GestureModel, settings: GestureTraining, sets: Sequence[TrainingSet]
    ) -> None:
        super().__init__()
        self.model = model
        self.heads = nn.ModuleList(Heads(each.config) for each in sets[1:])
        channels = face_channels(sets) if settings.face_probe_weight else 0
        self.auxiliary = SpeechAuxHeads(sets[0].config.audio.width, channels)
        self.scales: Tensor  # [K, P]
        scales = torch.stack([each.sampler.windows.latent_scale for each in sets])
        self.register_buffer("scales", scales, persistent=False)
        self._settings, self._rollouts = settings, [each.rollout for each in sets]
        self._features: list[tuple[Tensor, Tensor]] = []
        model.speech.register_forward_hook(lambda *passed: self._features.append(passed[-1]))
        nn.Module.register_load_state_dict_pre_hook(self, _rename_modules)

    def network(self, source: int) -> nn.Module:
        """The model with the heads of a data set."""
        return WithHeads(self.model, cast(Heads, self.heads[source - 1])) if source else self.model

    def forward(self, batch: TrainingBatch, step: int, draws: torch.Generator) -> LossTerms:
        """Loss terms of a batch; those shown are unweighted."""
        settings, inputs = self._settings, batch.inputs
        sources = batch.source
        source = int(sources[0]) if isinstance(sources, Tensor) and len(sources) else 0
        model = self.network(source)
        if batch.rollout:
            motion = self._rollouts[source].fill(model, inputs.motion, batch.rollout)
            inputs = inputs._replace(motion=motion)
        self._features.clear()
        onsets = self._onsets(batch)
        outputs = self._outputs(model, inputs, onsets=onsets)
        face_features, features = (each.float() for each in self._features.pop())
        since = batch.frames_since_stress
        stress = self.auxiliary.stress_loss(features, since, batch.frames_until_stress)
        gesture_class = self.auxiliary.class_loss(features, since, batch.gesture_class)
        latent, entropy, accuracy = losses(outputs, batch, self.scales[source], settings.smoothing)
        total = settings.latent_weight * latent + entropy
        total = total + settings.stress_weight_aux * stress
        total = total + settings.gesture_class_weight * gesture_class
        shown = {"latent": latent, "nll": entropy, "stress": stress, "class": gesture_class}
        if self.model.cue is not None and onsets is not None:
            shown["onset"] = onset_loss(self.model.cue.scores(features, inputs.speaker), onsets)
            total = total + settings.onset_weight * shown["onset"]
        if settings.face_weight or settings.face_probe_weight:
            vae = self._rollouts[source].face
            truth = face_truth(vae, batch, settings.lip_closure_weight)
            shown["face"] = truth.error(vae.decode(outputs.latents[_FACE]))
            total = total + settings.face_weight * shown["face"]
        if settings.face_probe_weight:
            shown["face_probe"] = truth.error(self.auxiliary.face_vectors(face_features))
            total = total + settings.face_probe_weight * shown["face_probe"]
        if settings.reconstruct_weight:
            shown["hints"] = self._reconstruct(model, batch, self.scales[source])
            total = total + settings.reconstruct_weight * shown["hints"]
        shown |= {f"hit_{part}": hit for part, hit in zip(BodyPart, accuracy, strict=True)}
        return LossTerms(total, shown | {"next_upper": next_hit(outputs, batch)})

    def _onsets(self, batch: TrainingBatch) -> Tensor | None:
        """True stroke onsets: the body is conditioned on them, the detector trained separately."""
        onset = self._settings.onset
        return (
            None if onset is None else onset_targets(batch.frames_until_stress, onset.lead_frames)
        )

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

    def _reconstruct(self, model: nn.Module, batch: TrainingBatch, scale: Tensor) -> Tensor:
        """Error of gestures that are completed from hints without audio (eq. 7, 8)."""
        rows = batch.hint_weight > 0
        if not rows.any():
            return batch.hint_weight.sum()
        inputs = WindowInputs(*(field[rows] for field in batch.inputs))
        outputs = self._outputs(model, inputs, use_audio=False)
        errors = reconstruction(outputs, batch.latents[rows], scale)
        return (errors * batch.hint_weight[rows]).sum() / len(rows)


def _rename_modules(_: nn.Module, state: dict[str, Tensor], *_more: object) -> None:
    """Rename the entries of an older checkpoint in place."""
    for name in list(state):
        module, _dot, rest = name.partition(".")
        if module in RENAMED_MODULES:
            state[f"{RENAMED_MODULES[module]}.{rest}"] = state.pop(name)
