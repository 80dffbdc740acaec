"""Audio encoders: one vector per frame from samples or audio features.

`WaveEncoder` is that of the published checkpoints: it looks about 600 ms ahead, and its steps do
not coincide exactly with the frames. `FeatureEncoder` is causal, with one step per frame.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import ShapeError

WAVE_STRIDES = (5, 6, 1, 6, 1, 3)
WAVE_PADDINGS = (1600, 0, 7, 0, 7, 0)
WAVE_KERNEL = 15
WAVE_SLOPE = 0.01
FEATURE_SLOPE = 0.1


def fit_frames(features: Tensor, frames: int) -> Tensor:
    """Crop `[B, T', D]` to `frames`, or extend it by repeating its last frames.

    Raises ShapeError if it has less than half of the frames.
    """
    missing = frames - features.shape[1]
    if missing <= 0:
        return features[:, :frames]
    if missing > features.shape[1]:
        raise ShapeError(
            f"the audio covers {features.shape[1]} of {frames} frames; give audio for the window"
        )
    return torch.cat((features, features[:, -missing:]), 1)


class WaveBlock(nn.Module):
    """Two convolutions with batch normalisation and a shortcut, `[B, C, S] -> [B, C', S']`."""

    def __init__(self, channels: int, width: int, stride: int, padding: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, width, WAVE_KERNEL, stride=stride, padding=padding)
        self.bn1 = nn.BatchNorm1d(width)
        self.conv2 = nn.Conv1d(width, width, WAVE_KERNEL, padding=WAVE_KERNEL // 2)
        self.bn2 = nn.BatchNorm1d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv1d(channels, width, WAVE_KERNEL, stride=stride, padding=padding),
                nn.BatchNorm1d(width),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.bn1(self.conv1(x)), WAVE_SLOPE)
        return F.leaky_relu(self.bn2(self.conv2(y)) + self.shortcut(x), WAVE_SLOPE)


class WaveEncoder(nn.Module):
    """Samples `[B, S]` or `[B, S, channels]` to `[B, about S / 540, width]`."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        quarter, half = width // 4, width // 2
        widths = (channels, quarter, quarter, quarter, half, half, width)
        self.blocks = nn.ModuleList(
            WaveBlock(widths[i], widths[i + 1], WAVE_STRIDES[i], WAVE_PADDINGS[i])
            for i in range(len(WAVE_STRIDES))
        )

    def forward(self, audio: Tensor) -> Tensor:
        x = audio[:, None] if audio.dim() == 2 else audio.transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return x.transpose(1, 2)


class DilatedTaps(nn.Module):
    """Causal dilated convolution, `[B, T, D] -> [B, T, D]`, as one matmul; padded with zeros.

    Frame t is a linear map of the frames t, t - dilation, ...
    """

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.reach = (kernel - 1) * dilation
        self.linear = nn.Linear(kernel * width, width)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[1]
        padded = F.pad(x, (0, 0, self.reach, 0))
        starts = range(0, self.reach + 1, self.dilation)
        return self.linear(torch.cat([padded[:, s : s + frames] for s in starts], -1))


class FeatureEncoder(nn.Module):
    """Causal temporal convolutional network, `[B, T, channels] -> [B, T, width]`.

    One residual dilated convolution for each of `dilations`. It has no batch statistics, so that a
    stream's output does not depend on the batch. feature_range: first and last (exclusive) channel
    that is used; None for all.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        dilations: Sequence[int],
        kernel: int,
        feature_range: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        first, end = feature_range or (0, channels)
        self.features = slice(first, end)
        self.project = nn.Linear(end - first, width)
        self.taps = nn.ModuleList(DilatedTaps(width, kernel, d) for d in dilations)
        self.norm = nn.LayerNorm(width)
        self.left_context = sum((kernel - 1) * dilation for dilation in dilations)

    def forward(self, audio: Tensor) -> Tensor:
        x = self.project(audio[..., self.features])
        for taps in self.taps:
            x = x + F.leaky_relu(taps(x), FEATURE_SLOPE)
        return self.norm(x)
