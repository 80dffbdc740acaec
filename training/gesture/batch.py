"""Training batches of the gesture transformer: masks, corrupted history, loss weights.

All random draws are made for the whole batch, before it is sharded. Self-generated history is
scheduled here and computed by the loss module.
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
from training.gesture.masking import add_noise, frame_masks, hint_masks
from training.gesture.rollout import (
    RolloutRequest,
    draw_hop,
    hop_mask,
    rollout_context,
    rollout_decoder,
)
from training.gesture.settings import GestureTraining

STROKE_FRAMES = (2, 6, 14)
"""Frames after a stressed-vowel onset at which a stroke is under way, lands, and is over."""


class TrainingBatch(NamedTuple):
    """Inputs, targets and weights of B windows.

    Both weights have a mean of 1 over the whole batch, so that sharding does not change the loss.

    Attributes:
        inputs: inputs of the model.
        weight: weight `[B, T]` of each frame's loss.
        target: frames `[B, T]` that are to be predicted, bool.
        hint_weight: weight `[B]` of windows with hints, 0 for the others.
        codes: see `Batch`.
        latents: see `Batch`.
        frames_since_stress: see `Batch`.
        valid_parts: see `Batch`.
        gesture_class: see `Batch`.
        frames_until_stress: see `Batch`.
        rollout: windows whose history the model is to generate; empty: none.
        source: index `[B]` of the data set, equal for all windows; empty: a single data set.

    """

    inputs: WindowInputs
    weight: Tensor
    target: Tensor
    hint_weight: Tensor
    codes: Tensor
    latents: Tensor
    frames_since_stress: Tensor
    valid_parts: Tensor
    gesture_class: Tensor
    frames_until_stress: Tensor
    rollout: RolloutRequest | tuple[()] = ()
    source: Tensor | tuple[()] = ()


class _Masks(NamedTuple):
    """Masks of a batch.

    Attributes:
        mask: channels `[B, T, C]`; 1 hides.
        target: frames `[B, T]` to predict, bool.
        hinted: windows `[B]` with hints, bool.
        rollout: windows `[B]` with self-generated history, bool.

    """

    mask: Tensor
    target: Tensor
    hinted: Tensor
    rollout: Tensor


class BatchSampler:
    """Draws training batches.

    windows: longer than `settings.window` by `settings.rollout.lead` frames. parts: the
    autoencoders on the CPU, to decode wrong codes.
    """

    def __init__(
        self,
        settings: GestureTraining,
        windows: GestureWindows,
        parts: Mapping[BodyPart, PartVae],
    ) -> None:
        self.settings, self.windows = settings, windows
        self._decoder, self._context = rollout_decoder(parts), rollout_context(parts)
        self._classes = max(vae.classes for vae in parts.values())

    def __call__(self, draws: torch.Generator, step: int = 0) -> TrainingBatch:
        """Draw the batch of a step."""
        settings = self.settings
        long = self._draw(draws)
        batch = Batch(*(x[:, settings.rollout.lead :] for x in long))
        request, hop = self._request(long, draws)
        masks = self._masks(request, hop, step, draws)
        motion = self._motion(batch, masks, draws)
        audio = self._audio(batch.audio, draws)
        inputs = WindowInputs(motion, masks.mask, audio, batch.words, batch.speaker[:, 0])
        hint_weight = masks.hinted / masks.hinted.float().mean().clamp(min=1e-9)
        return TrainingBatch(
            inputs, self._weight(batch, masks), masks.target, hint_weight, batch.codes,
            batch.latents, batch.frames_since_stress, batch.valid_parts, batch.gesture_class,
            batch.frames_until_stress, request,
        )  # fmt: skip

    def _audio(self, audio: Tensor, draws: torch.Generator) -> Tensor:
        """Features with noise, relative to each channel's deviation."""
        if not self.settings.feature_noise:
            return audio
        spread = self.windows.audio_spread
        return spread * add_noise(self.settings.feature_noise, audio / spread, draws)

    def _draw(self, draws: torch.Generator) -> Batch:
        settings = self.settings
        return self.windows.draw(
            settings.batch,
            draws,
            silent_fraction=settings.silent_fraction,
            word_dropout=settings.word_dropout,
            ground_truth_fraction=settings.ground_truth_fraction,
        )

    def _request(
        self, long: Batch, draws: torch.Generator
    ) -> tuple[RolloutRequest | tuple[()], int]:
        """Windows with self-generated history, and the hop of their live schedule."""
        rollout, rows = self.settings.rollout, len(long.words)
        if not rollout.share:
            return (), 0
        hop = draw_hop(rollout.hops, draws)
        selected = torch.rand(rows, generator=draws) < rollout.share
        noise = torch.randn(rows, len(BodyPart), self._classes, generator=draws)
        return RolloutRequest(long, selected, torch.full((rows,), hop), noise), hop

    def _masks(
        self, request: RolloutRequest | tuple[()], hop: int, step: int, draws: torch.Generator
    ) -> _Masks:
        settings, masking = self.settings, self.settings.masking
        rows, frames = settings.batch, settings.window
        hidden, target = frame_masks(masking, rows, frames, draws)
        mask = hidden[..., None].float().expand(-1, -1, self.windows.width)
        hinted = rollout = torch.zeros(rows, dtype=torch.bool)
        if masking.hint_share > 0:
            hints = hint_masks(masking, rows, frames, step / settings.steps, draws)
            hinted = hints.rows
            mask = torch.where(hinted[:, None, None], hints.mask, mask)
            target = target | hinted[:, None]
        if request:
            rollout, hinted = request.rows, hinted & ~request.rows
            live = hop_mask(frames, hop, settings.rollout.seed)
            mask = torch.where(rollout[:, None, None], live, mask)
            target = torch.where(rollout[:, None], torch.arange(frames) >= frames - hop, target)
        return _Masks(mask, target, hinted, rollout)

    def _motion(self, batch: Batch, masks: _Masks, draws: torch.Generator) -> Tensor:
        """Standardised motion with wrong codes and noise; windows with hints stay exact."""
        motion, masking = batch.motion, self.settings.masking
        share, most = masking.wrong_codes
        if share > 0:
            rows = torch.rand(len(motion), generator=draws) < share
            rate = most * torch.rand(len(motion), generator=draws)
            codes = wrong_codes(batch.codes.transpose(1, 2), rate, draws)
            rows &= ~masks.hinted & ~masks.rollout
            if rows.any():
                visible = masks.mask[rows].amin(-1) == 0
                motion = motion.clone()
                motion[rows] = corrupt_history(
                    self._decoder, self._context, motion[rows], codes[rows], visible
                )
        clean = self.windows.scaling.apply(motion)
        noisy = add_noise(masking.noise, clean, draws)
        return torch.where(masks.hinted[:, None, None], clean, noisy)

    def _weight(self, batch: Batch, masks: _Masks) -> Tensor:
        """Weight `[B, T]` of each frame's loss, 1 on average."""
        settings, target = self.settings, masks.target
        weight = torch.where(target, 1.0, settings.seen_weight)
        # Self-generated history has no recorded truth; only the target frames count.
        weight = torch.where(masks.rollout[:, None] & ~target, 0.0, weight)
        stroke = (batch.frames_since_stress <= STROKE_FRAMES[-1]).float()
        weight = weight * (1.0 + settings.stress_weight * stroke)
        # Short suffixes, as in live use, count as much as long ones.
        weight = weight / target.sum(1, keepdim=True).float().clamp(min=4).sqrt()
        return weight / weight.mean()
