"""What the gesture transformer is shown of drawn windows, and what it is to find.

Masks, worn histories and weights; everything that is random here is drawn for the whole batch.
Knows no network: histories of the model's own making are prepared here and made by the objective.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from engine.model.part_vae import PartVae
from engine.model.types import WindowInputs
from engine.motion.skeleton import BodyPart
from training.data.dataset import Batch, GestureWindows
from training.gesture.corruption import corrupt_history, wrong_codes
from training.gesture.masking import disturb, frame_masks, hint_masks
from training.gesture.rollout import RolloutTask, last_hop, pick, seed_context, seed_decoder
from training.gesture.settings import GestureTraining

STROKE_FRAMES = (2, 6, 14)
"""Frames after the onset of a stressed vowel: a stroke is on its way, it has landed, it is over."""


class TrainingBatch(NamedTuple):
    """What the model is shown of a batch, and what it is to find.

    weight `[B, T]` of each frame's error, ends `[B, T]` the frames that are to be found, hinted
    `[B]` the weight of the windows that show hints, 0 for the others; codes, latents, since, known,
    kind and until as in `Batch`. Both weights have a mean of 1 over the whole batch, so that
    however it is shared out, errors count the same. task: the histories that the model is still to
    make, if any. source `[B]`: the number of the data set, the same for all, where there are
    several.
    """

    inputs: WindowInputs
    weight: Tensor
    ends: Tensor
    hinted: Tensor
    codes: Tensor
    latents: Tensor
    since: Tensor
    known: Tensor
    kind: Tensor
    until: Tensor
    task: RolloutTask | tuple[()] = ()
    source: Tensor | tuple[()] = ()


class _Masks(NamedTuple):
    """mask `[B, T, C]`: 1 hides; ends `[B, T]`, hinted `[B]`, own `[B]` (own output) bool."""

    mask: Tensor
    ends: Tensor
    hinted: Tensor
    own: Tensor


class BatchSampler:
    """Draws lessons from windows, which are longer than settings.window by settings.rollout.lead.

    parts: the autoencoders on the CPU, to decode wrong codes.
    """

    def __init__(
        self,
        settings: GestureTraining,
        windows: GestureWindows,
        parts: Mapping[BodyPart, PartVae],
    ) -> None:
        self.settings, self.windows = settings, windows
        self._decoder, self._context = seed_decoder(parts), seed_context(parts)
        self._classes = max(vae.classes for vae in parts.values())

    def __call__(self, draws: torch.Generator, step: int = 0) -> TrainingBatch:
        """The lesson of a step: windows of which a part is hidden and disturbed."""
        settings = self.settings
        long = self._draw(draws)
        batch = Batch(*(x[:, settings.rollout.lead :] for x in long))
        task, hop = self._task(long, draws)
        masks = self._masks(task, hop, step, draws)
        motion = self._worn(batch, masks, draws)
        speaker = batch.speaker[:, 0]
        inputs = WindowInputs(
            motion, masks.mask, self._heard(batch.audio, draws), batch.words, speaker
        )
        hinted = masks.hinted / masks.hinted.float().mean().clamp(min=1e-9)
        return TrainingBatch(
            inputs, self._weight(batch, masks), masks.ends, hinted, batch.codes, batch.latents,
            batch.since, batch.known, batch.kind, batch.until, task,
        )  # fmt: skip

    def _heard(self, audio: Tensor, draws: torch.Generator) -> Tensor:
        """Features as other throats and rooms would have them: no two times the same."""
        if not self.settings.feature_noise:
            return audio
        spread = self.windows.audio_spread
        return spread * disturb(self.settings.feature_noise, audio / spread, draws)

    def _draw(self, draws: torch.Generator) -> Batch:
        settings = self.settings
        return self.windows.draw(
            settings.batch,
            draws,
            silence=settings.silent_fraction,
            word_dropout=settings.word_dropout,
            true=settings.ground_truth_fraction,
        )

    def _task(self, long: Batch, draws: torch.Generator) -> tuple[RolloutTask | tuple[()], int]:
        """Which windows are to show the model's own output, and the hop of their live window."""
        rollout, rows = self.settings.rollout, len(long.words)
        if not rollout.share:
            return (), 0
        hop = pick(rollout.hops, draws)
        own = torch.rand(rows, generator=draws) < rollout.share
        noise = torch.randn(rows, len(BodyPart), self._classes, generator=draws)
        return RolloutTask(long, own, torch.full((rows,), hop), noise), hop

    def _masks(
        self, task: RolloutTask | tuple[()], hop: int, step: int, draws: torch.Generator
    ) -> _Masks:
        settings, masking = self.settings, self.settings.masking
        rows, frames = settings.batch, settings.window
        hidden, ends = frame_masks(masking, rows, frames, draws)
        mask = hidden[..., None].float().expand(-1, -1, self.windows.width)
        hinted = own = torch.zeros(rows, dtype=torch.bool)
        if masking.hint_share > 0:
            hints = hint_masks(masking, rows, frames, step / settings.steps, draws)
            hinted = hints.rows
            mask = torch.where(hinted[:, None, None], hints.mask, mask)
            ends = ends | hinted[:, None]
        if task:
            own, hinted = task.own, hinted & ~task.own
            mask = torch.where(
                own[:, None, None], last_hop(frames, hop, settings.rollout.seed), mask
            )
            ends = torch.where(own[:, None], torch.arange(frames) >= frames - hop, ends)
        return _Masks(mask, ends, hinted, own)

    def _worn(self, batch: Batch, masks: _Masks, draws: torch.Generator) -> Tensor:
        """Standardised motion as it is shown; hints are shown as they were given."""
        motion, masking = batch.motion, self.settings.masking
        share, most = masking.wrong_codes
        if share > 0:
            rows = torch.rand(len(motion), generator=draws) < share
            rate = most * torch.rand(len(motion), generator=draws)
            codes = wrong_codes(batch.codes.transpose(1, 2), rate, draws)
            rows &= ~masks.hinted & ~masks.own
            if rows.any():
                visible = masks.mask[rows].amin(-1) == 0
                motion = motion.clone()
                motion[rows] = corrupt_history(
                    self._decoder, self._context, motion[rows], codes[rows], visible
                )
        clean = self.windows.scaling.apply(motion)
        noisy = disturb(masking.noise, clean, draws)
        return torch.where(masks.hinted[:, None, None], clean, noisy)

    def _weight(self, batch: Batch, masks: _Masks) -> Tensor:
        """How much each frame's error counts `[B, T]`, 1 on average."""
        settings, ends = self.settings, masks.ends
        weight = torch.where(ends, 1.0, settings.seen_weight)
        # What the model itself made is no longer what was recorded: only what follows is judged.
        weight = torch.where(masks.own[:, None] & ~ends, 0.0, weight)
        stroke = (batch.since <= STROKE_FRAMES[-1]).float()
        weight = weight * (1.0 + settings.stress_weight * stroke)
        # Short ends count as much as long ones: they are what happens live.
        weight = weight / ends.sum(1, keepdim=True).float().clamp(min=4).sqrt()
        return weight / weight.mean()
