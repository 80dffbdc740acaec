"""Waveform encoders as stem and tail.

The stem has by far the most positions. Each depends on a tenth of a second of samples, so that
activations of samples in two successive windows can be reused: see `engine.kernels.encoder_cache`.
Stem and tail exchange *activations* `[B, C, P]`, one per STRIDE samples.
"""

from collections import OrderedDict
from collections.abc import Mapping
from math import prod
from typing import Final, cast

import torch
from torch import Tensor, nn

from engine.model.audio_encoder import WAVE_KERNEL, WAVE_PADDINGS, WAVE_STRIDES, WaveEncoder
from engine.model.fuse import with_submodules
from engine.model.gesture import GestureModel
from engine.model.speech_encoder import SpeechEncoder

_BLOCKS: Final = 3
"""Later blocks have a sixth of the positions each, and windows would align too rarely."""
STRIDE: Final = prod(WAVE_STRIDES[:_BLOCKS])


def stem_length(samples: int) -> int:
    """Number of activations P of a window of `samples` samples."""
    count = samples
    for stride, padding in _shapes():
        count = (count + 2 * padding - WAVE_KERNEL) // stride + 1
    return count


def receptive_field() -> tuple[int, int]:
    """Samples `[first, last)` that activation 0 depends on; those of k are `k * STRIDE` later.

    Samples before and after a window are zeros.
    """
    first, last = 0, 0
    for stride, padding in reversed(_shapes()):
        first, last = first - WAVE_KERNEL // 2, last + WAVE_KERNEL // 2
        first, last = first * stride - padding, last * stride - padding + WAVE_KERNEL - 1
    return first, last + 1


def _shapes() -> list[tuple[int, int]]:
    return list(zip(WAVE_STRIDES, WAVE_PADDINGS, strict=True))[:_BLOCKS]


class EncoderStem(nn.Module):
    """Samples `[B, S, 1]` to activations `[B, C, P]` of all encoders side by side."""

    def __init__(self, encoders: Mapping[str, WaveEncoder]) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {name: nn.Sequential(*encoder.blocks[:_BLOCKS]) for name, encoder in encoders.items()}
        )

    def forward(self, audio: Tensor) -> Tensor:
        x = audio.transpose(1, 2)
        return torch.cat([blocks(x) for blocks in self.encoders.values()], 1)


class EncoderTail(nn.Module):
    """The tail of one encoder, on activations `[B, C, P]`; `own`: its channels."""

    def __init__(self, encoder: WaveEncoder, own: slice) -> None:
        super().__init__()
        # Under their own numbers, which patterns of layer names refer to.
        later = {str(i): block for i, block in enumerate(encoder.blocks) if i >= _BLOCKS}
        self.blocks = nn.Sequential(OrderedDict(later))
        self.own = own

    def forward(self, entries: Tensor) -> Tensor:
        return self.blocks(entries[:, self.own]).transpose(1, 2)


def split_encoder(model: GestureModel) -> tuple[EncoderStem, GestureModel] | None:
    """Stem of a fused `model` with one channel of samples, and the same model on activations.

    None for a model with other inputs.
    """
    speech = model.speech
    if not isinstance(speech, SpeechEncoder):
        return None
    if isinstance(speech.trunk, WaveEncoder):
        found: dict[str, nn.Module] = {"trunk": speech.trunk}
    else:
        found = {"face": speech.face.audio, "body": speech.body.audio}
    encoders = {name: e for name, e in found.items() if isinstance(e, WaveEncoder)}
    if len(encoders) < len(found) or any(_channels(e) != 1 for e in encoders.values()):
        return None
    later, start = {}, 0
    for name, encoder in encoders.items():
        width = _width(encoder)
        later[name] = EncoderTail(encoder, slice(start, start + width))
        start += width
    if "trunk" in later:
        twin = with_submodules(speech, trunk=later["trunk"])
    else:
        face = with_submodules(speech.face, audio=later["face"])
        twin = with_submodules(
            speech, face=face, body=with_submodules(speech.body, audio=later["body"])
        )
    return EncoderStem(encoders).eval(), with_submodules(model, speech=twin)


def _channels(encoder: WaveEncoder) -> int:
    return _convolution(encoder, 0).in_channels


def _width(encoder: WaveEncoder) -> int:
    return _convolution(encoder, _BLOCKS - 1).out_channels


def _convolution(encoder: WaveEncoder, block: int) -> nn.Conv1d:
    """The first convolution of a block, fused or not."""
    return cast(nn.Conv1d, next(m for m in encoder.blocks[block].modules() if _convolves(m)))


def _convolves(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv1d)
