"""Random masks in the shapes of body hints.

Hints given by users are a wrist for a second or an arm for all frames, rarely a joint in a single
frame. Tokens are those of MOTION_TOKENS: joints, translation, contacts.
"""

from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor

from engine.motion.channels import MOTION, MOTION_TOKENS

SPAN_FRAMES = (4, 32)
"""Shortest and longest span, frames."""


class HintShape(StrEnum):
    """Unit that is hidden or visible as a whole."""

    JOINTS = "joints"  # a joint in all frames
    SPANS = "spans"  # all joints in a span of frames
    JOINT_SPANS = "joint_spans"  # a joint in a span of frames
    PIECES = "pieces"  # a joint in a single frame (the paper)
    CHANNELS = "channels"  # a channel in a single frame (the published training)


def hidden_channels(
    shapes: Sequence[HintShape], rows: int, frames: int, ratio: float, generator: torch.Generator
) -> Tensor:
    """Draw hidden channels `[B, T, 337]` bool, on average the share `ratio`.

    The shape is drawn from `shapes` for each row.
    """
    choices = torch.randint(len(shapes), (rows,), generator=generator)
    result = torch.empty(rows, frames, MOTION.width, dtype=torch.bool)
    for choice, shape in enumerate(shapes):
        selected = choices == choice
        count = int(selected.sum())
        result[selected] = _of_shape(shape, count, frames, ratio, generator)
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
    """Index `[B, T]` of each frame's span; the spans of a row have equal length."""
    place = torch.arange(frames)[None].expand(rows, -1)
    if shape is HintShape.JOINTS:
        return torch.zeros_like(place)
    if shape is HintShape.PIECES:
        return place
    low, high = SPAN_FRAMES
    length = torch.randint(low, high + 1, (rows, 1), generator=generator)
    # A random offset, so that spans do not start at multiples of their length.
    offset = (torch.rand(rows, 1, generator=generator) * length).long()
    return (place + offset) // length
