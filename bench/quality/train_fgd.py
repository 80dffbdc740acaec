"""Training of the autoencoder whose features the Frechet gesture distance compares."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.metrics.gesture_features import (
    EncoderNotes,
    GestureDecoder,
    GestureEncoder,
    gesture_vectors,
    save_encoder,
)
from bench.quality.motion_files import motion_files, read_motion
from engine.errors import ConfigError, GestureError

_WINDOW = 64
_REPORT_EVERY = 100


@dataclass(frozen=True)
class FeatureTraining:
    """Training settings.

    Attributes:
        steps: optimizer steps.
        batch: windows per step.
        rate: initial learning rate.
        decoder_width: channels of the decoder.
        held_out: distance between held-out clips; 10: every tenth clip.
        seed: of weights and windows.

    """

    steps: int = 2000
    batch: int = 32
    rate: float = 1e-3
    decoder_width: int = 192
    held_out: int = 10
    seed: int = 1


class _Windows:
    """Random windows `[B, 64, 330]` of clips `[T, 330]`; all start frames are equally likely."""

    def __init__(self, clips: Sequence[Tensor], seed: int) -> None:
        self._all = torch.cat(list(clips))
        lengths = torch.tensor([len(clip) for clip in clips])
        ends = lengths.cumsum(0)
        whole = [
            torch.arange(int(end - length), int(end) - _WINDOW + 1)
            for length, end in zip(lengths, ends, strict=True)
        ]
        self._starts = torch.cat(whole)
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self, rows: int) -> Tensor:
        chosen = torch.randint(len(self._starts), (rows,), generator=self._generator)
        return self._all[self._starts[chosen][:, None] + torch.arange(_WINDOW)]


def train_features(
    clips: Sequence[Tensor], settings: FeatureTraining
) -> tuple[GestureEncoder, float]:
    """Encoder for vectors `[T, 330]` of clips, and its error on held-out clips.

    The error is a mean square in units of each channel's deviation; without held-out clips it is
    that of the training clips. ConfigError if no clip has the length of a window.
    """
    long = [clip for clip in clips if len(clip) >= _WINDOW]
    if not long:
        raise ConfigError(f"no clip is as long as {_WINDOW} frames; give a folder with longer ones")
    kept = [clip for i, clip in enumerate(long) if (i + 1) % settings.held_out]
    rest = long[settings.held_out - 1 :: settings.held_out] or kept
    torch.manual_seed(settings.seed)
    encoder, decoder = GestureEncoder(), GestureDecoder(settings.decoder_width)
    encoder.fit(torch.cat(kept))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, settings.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    windows, began = _Windows(kept, settings.seed), time.monotonic()
    for step in range(settings.steps):
        x = windows.draw(settings.batch)
        loss = F.mse_loss(decoder(encoder(x)), encoder.standardised(x))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if (step + 1) % _REPORT_EVERY == 0:
            left = (time.monotonic() - began) / (step + 1) * (settings.steps - step - 1)
            print(
                f"{step + 1}/{settings.steps} error {float(loss.detach()):.4f}, {left:.0f} s left"
            )
    encoder.eval().requires_grad_(False)
    return encoder, reconstruction_error(encoder, decoder, rest)


@torch.inference_mode()
def reconstruction_error(
    encoder: GestureEncoder, decoder: GestureDecoder, clips: Sequence[Tensor]
) -> float:
    """Mean squared error over all frames of clips `[T, 330]`, in units of each deviation."""
    total, frames = 0.0, 0
    for clip in clips:
        whole = clip[None, : len(clip) // 4 * 4]
        made = decoder(encoder(whole))
        total += float(F.mse_loss(made, encoder.standardised(whole))) * whole.shape[1]
        frames += whole.shape[1]
    return total / frames


def train_from_folder(
    folder: Path, out: Path, settings: FeatureTraining, licence: str
) -> EncoderNotes:
    """Train on all motions in a folder and write the encoder; report broken files."""
    clips, used = [], []
    for name, path in motion_files(folder).items():
        try:
            clips.append(torch.from_numpy(gesture_vectors(read_motion(path))))
            used.append(name)
        except GestureError as fault:
            print(f"{name}: {fault}; skipped")
    if not clips:
        raise ConfigError(f"no motion in {folder} could be read")
    encoder, error = train_features(clips, settings)
    frames = sum(len(clip) for clip in clips)
    notes = EncoderNotes(f"{len(used)} motions of {folder.name}", licence, frames, settings.steps,
                         round(error, 5))  # fmt: skip
    save_encoder(out, encoder, notes)
    return notes
