"""History corruption by wrong codes.

In live use a badly sampled code changes a whole part for some frames, which noise on channels does
not imitate.
"""

import torch
from torch import Tensor

from engine.generate.decoder import PoseDecoder


def wrong_codes(codes: Tensor, rate: Tensor, generator: torch.Generator) -> Tensor:
    """Replace the share `rate [B]` of codes `[B, P, T]` by codes of other frames.

    Replacements come from the same part, anywhere in the batch, so that unused codes stay unused.
    Parts are replaced independently.
    """
    rows, parts, frames = codes.shape
    replaced = torch.rand(rows, parts, frames, generator=generator) < rate[:, None, None]
    other = torch.randint(rows * frames, (rows, parts, frames), generator=generator)
    pool = codes.transpose(0, 1).flatten(1)  # [P, B * T]
    drawn = pool.gather(1, other.to(codes.device).transpose(0, 1).flatten(1))
    drawn = drawn.unflatten(1, (rows, frames)).transpose(0, 1)
    return torch.where(replaced.to(codes.device), drawn, codes)


def corrupt_history(
    decoder: PoseDecoder, context: int, motion: Tensor, codes: Tensor, visible: Tensor
) -> Tensor:
    """Replace the frames `visible [B, T]` of motion `[B, T, 337]` by decoded codes `[B, P, T]`.

    The first `context` frames, the receptive field of the decoders, are kept: they depend on codes
    before the window.
    """
    decoded = decoder.decode(codes, codes.shape[2]).motion.clone()
    complete = torch.arange(motion.shape[1], device=motion.device) >= context
    return torch.where((visible & complete)[..., None], decoded, motion)
