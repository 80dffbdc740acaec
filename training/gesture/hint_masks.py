"""Which pieces of a gesture are hidden and which are shown, in the shapes that hints have.

A hint given by hand is a wrist for a second or a whole arm all along, hardly ever a joint in one
frame. Pieces are those of MOTION_TOKENS: joints, translation, contacts. Knows nothing of hops.
"""

from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor

from engine.motion.channels import MOTION, MOTION_TOKENS

SPAN_FRAMES = (4, 32)
"""Shortest and longest stretch of frames that is hidden or shown as one."""


class HintShape(StrEnum):
    """What is hidden or shown as one."""

    JOINTS = "joints"  # a joint, in all frames
    SPANS = "spans"  # a stretch of frames, of all joints
    JOINT_SPANS = "joint_spans"  # a stretch of frames of one joint
    PIECES = "pieces"  # a joint in one frame (the paper)
    CHANNELS = "channels"  # a number in one frame (the published training)


def hidden_channels(
    shapes: Sequence[HintShape], rows: int, frames: int, ratio: float, generator: torch.Generator
) -> Tensor:
    """Hidden channels `[B, T, 337]` bool, on average the share `ratio` of them.

    Each row has one of `shapes`, drawn anew.
    """
    kinds = torch.randint(len(shapes), (rows,), generator=generator)
    result = torch.empty(rows, frames, MOTION.width, dtype=torch.bool)
    for kind, shape in enumerate(shapes):
        own = kinds == kind
        result[own] = _of_shape(shape, int(own.sum()), frames, ratio, generator)
    return result


def _of_shape(
    shape: HintShape, rows: int, frames: int, ratio: float, generator: torch.Generator
) -> Tensor:
    if shape is HintShape.CHANNELS:
        return torch.rand(rows, frames, MOTION.width, generator=generator) < ratio
    tokens = 1 if shape is HintShape.SPANS else len(MOTION_TOKENS)
    spans = _spans(shape, rows, frames, generator)
    draws = torch.rand(rows, frames + 1, tokens, generator=generator)
    hidden = draws.gather(1, spans[..., None].expand(-1, -1, tokens)) < ratio
    hidden = hidden.expand(-1, -1, len(MOTION_TOKENS))
    return hidden.repeat_interleave(torch.tensor(MOTION_TOKENS), -1)


def _spans(shape: HintShape, rows: int, frames: int, generator: torch.Generator) -> Tensor:
    """To which stretch each frame belongs `[B, T]`; stretches of a row are alike long."""
    place = torch.arange(frames)[None].expand(rows, -1)
    if shape is HintShape.JOINTS:
        return torch.zeros_like(place)
    if shape is HintShape.PIECES:
        return place
    low, high = SPAN_FRAMES
    length = torch.randint(low, high + 1, (rows, 1), generator=generator)
    # Stretches begin anywhere, not at multiples of their length.
    offset = (torch.rand(rows, 1, generator=generator) * length).long()
    return (place + offset) // length
