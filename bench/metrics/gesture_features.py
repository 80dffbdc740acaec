"""Features of the Frechet gesture distance: a skeleton-convolution encoder.

Input: 330 numbers per frame (55 joints as 6D rotations). Output: 240 for every fourth frame,
twelve channels for each of twenty groups of joints. A joint is convolved over time with its
neighbours in the tree only, and chains are pooled in pairs (Aberman et al. 2020), so that errors
of fingers do not mask those of legs. The weights are the project's own: distances compare only
with those by the same weights file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.bundle.io import refuse_pointer
from engine.errors import ConfigError
from engine.motion.pose import Motion
from engine.motion.rotation import to_sixd
from engine.motion.skeleton import SMPLX_55
from engine.system.atomic import atomic
from training.sources.resample import resampled

WIDTH = 240
FRAME_RATE = 30
STRIDE = 4
"""Frames per feature."""
_CHANNELS = (6, 8, 12, 12)
_KERNEL = 5
_SMALLEST = 0.03  # least deviation, so that nearly constant channels are not amplified
_DESIGN = "skeleton-convolutions-1"
OUR_FEATURES = Path(__file__).with_name("gesture_features.safetensors")
"""Features trained by `emage-bench fgd` on recorded clips and motion composed of them."""


def pooled(parents: Sequence[int]) -> tuple[list[int], list[int]]:
    """Group of each joint, and the groups' parents.

    A joint joins its parent if it is the only child; groups have at most two joints.
    """
    children = [list(parents).count(joint) for joint in range(len(parents))]
    groups: list[int] = []
    group_parents: list[int] = []
    for parent in parents:
        above = groups[parent] if parent >= 0 else -1
        if parent >= 0 and children[parent] == 1 and groups.count(above) == 1:
            groups.append(above)
        else:
            groups.append(len(group_parents))
            group_parents.append(above)
    return groups, group_parents


class SkeletonConv(nn.Module):
    """Convolution over time of each joint with its parent and its children.

    `[B, J * channels_in, T] -> [B, J * channels_out, T / stride]`; edge frames are repeated.
    """

    def __init__(
        self, parents: Sequence[int], channels_in: int, channels_out: int, stride: int
    ) -> None:
        super().__init__()
        joints = len(parents)
        edges = [(j, p) for j, p in enumerate(parents) if p >= 0]
        pairs = [(j, j) for j in range(joints)] + edges + [(p, j) for j, p in edges]
        self._joints, self._stride = joints, stride
        self.register_buffer("_pairs", torch.tensor(sorted(pairs)).T, persistent=False)
        seen = 3 * channels_in * _KERNEL
        weight = torch.randn(len(pairs), channels_out, channels_in, _KERNEL) / seen**0.5
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(joints * channels_out))

    def forward(self, x: Tensor) -> Tensor:
        _, channels_out, channels_in, kernel = self.weight.shape
        dense = x.new_zeros(self._joints, self._joints, channels_out, channels_in, kernel)
        to_joint, from_joint = self.get_buffer("_pairs")
        dense = dense.index_put((to_joint, from_joint), self.weight)
        matrix = dense.transpose(1, 2).reshape(
            self._joints * channels_out, self._joints * channels_in, kernel
        )
        padded = F.pad(x, (kernel // 2, kernel // 2), mode="replicate")
        return F.conv1d(padded, matrix, self.bias, self._stride)


class SkeletonPool(nn.Module):
    """Mean over the joints of each group: `[B, J * C, T] -> [B, G * C, T]`."""

    def __init__(self, groups: Sequence[int]) -> None:
        super().__init__()
        matrix = torch.zeros(max(groups) + 1, len(groups))
        matrix[list(groups), range(len(groups))] = 1.0
        self.register_buffer("_means", matrix / matrix.sum(1, keepdim=True), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        means = self.get_buffer("_means")
        joints = x.reshape(len(x), means.shape[1], -1, x.shape[-1])
        return torch.einsum("gj,bjct->bgct", means, joints).flatten(1, 2)


class GestureEncoder(nn.Module):
    """6D rotations `[B, T, 330]`, standardised, to features `[B, T / 4, 240]`."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = _CHANNELS
        joints = SMPLX_55.parents
        pairs, pair_parents = pooled(joints)
        limbs, limb_parents = pooled(pair_parents)
        self.layers = nn.Sequential(
            SkeletonConv(joints, first, second, 2),
            SkeletonPool(pairs),
            nn.LeakyReLU(0.2),
            SkeletonConv(pair_parents, second, third, 2),
            SkeletonPool(limbs),
            nn.LeakyReLU(0.2),
            SkeletonConv(limb_parents, third, fourth, 1),
        )
        self.register_buffer("mean", torch.zeros(len(joints) * first))
        self.register_buffer("deviation", torch.ones(len(joints) * first))

    def standardised(self, x: Tensor) -> Tensor:
        """Vectors `[B, T, 330]` minus their mean, divided by their standard deviation."""
        return (x - self.get_buffer("mean")) / self.get_buffer("deviation")

    def fit(self, x: Tensor) -> None:
        """Set mean and deviation from vectors `[N, 330]`."""
        self.get_buffer("mean").copy_(x.mean(0))
        self.get_buffer("deviation").copy_(x.std(0).clamp(min=_SMALLEST))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(self.standardised(x).transpose(1, 2))
        return features.transpose(1, 2)


class GestureDecoder(nn.Module):
    """Features `[B, N, 240]` to standardised vectors `[B, 4 N, 330]`: plain convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        out = _CHANNELS[0] * len(SMPLX_55.parents)
        self.layers = nn.Sequential(
            nn.Conv1d(WIDTH, width, _KERNEL, padding=_KERNEL // 2),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv1d(width, width, _KERNEL, padding=_KERNEL // 2),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv1d(width, out, _KERNEL, padding=_KERNEL // 2),
        )

    def forward(self, features: Tensor) -> Tensor:
        made: Tensor = self.layers(features.transpose(1, 2))
        return made.transpose(1, 2)


def gesture_vectors(motion: Motion) -> NDArray[np.float32]:
    """Input of the encoder `[T, 330]` at FRAME_RATE."""
    poses = resampled(motion, FRAME_RATE).poses
    return np.asarray(to_sixd(poses.rotations).reshape(len(poses), -1), np.float32)


@torch.inference_mode()
def gesture_features(encoder: GestureEncoder, motion: Motion) -> NDArray[np.float64]:
    """Features `[N, 240]` of a motion, one for every four frames; a remainder is dropped."""
    vectors = torch.from_numpy(gesture_vectors(motion))
    whole = vectors[: len(vectors) // STRIDE * STRIDE]
    if not len(whole):
        return np.zeros((0, WIDTH))
    return np.asarray(encoder(whole[None])[0].double().numpy(), np.float64)


@dataclass(frozen=True)
class EncoderNotes:
    """Provenance of an encoder, in its weights file.

    Attributes:
        data: training data.
        licence: licence of the data.
        frames: training frames.
        steps: optimizer steps.
        error: mean squared error on held-out clips, in standardised units.

    """

    data: str
    licence: str
    frames: int
    steps: int
    error: float


def save_encoder(path: Path, encoder: GestureEncoder, notes: EncoderNotes) -> None:
    """Write the encoder without its decoder in half precision."""
    from safetensors.torch import save_file

    state = {name: value.half().contiguous() for name, value in encoder.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"design": _DESIGN, "notes": json.dumps(vars(notes))}
    with atomic(path) as part:
        save_file(state, str(part), metadata)


def load_encoder(path: Path) -> tuple[GestureEncoder, dict[str, Any]]:
    """Encoder and its notes; ConfigError for a file that has none."""
    from safetensors import SafetensorError, safe_open

    refuse_pointer(path)
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"cannot read {path} as weights of FGD: {error}") from error
    if metadata.get("design") != _DESIGN:
        raise ConfigError(
            f"{path} holds {metadata.get('design', 'something else')}, expected {_DESIGN}; make "
            "one with: emage-bench fgd --data DIR --out FILE.safetensors"
        )
    encoder = GestureEncoder().eval().requires_grad_(False)
    encoder.load_state_dict(state)
    return encoder, dict(json.loads(metadata["notes"]))
