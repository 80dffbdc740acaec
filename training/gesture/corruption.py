"""Histories with wrong codes: what a live model meets when some of its choices were bad.

Noise on channels is no such thing: a wrong code bends the whole part for some frames, in a way that
only the decoder knows. Knows nothing of masks and losses.
"""

import torch
from torch import Tensor

from engine.generate.decoder import PoseDecoder


def wrong_codes(codes: Tensor, rate: Tensor, generator: torch.Generator) -> Tensor:
    """Codes `[B, P, T]` of which the share `rate [B]` is replaced by codes of other frames.

    Those come from the same part and anywhere in the batch, so that codes that nobody uses stay
    unused. Each part goes wrong by itself.
    """
    rows, parts, frames = codes.shape
    replaced = torch.rand(rows, parts, frames, generator=generator) < rate[:, None, None]
    other = torch.randint(rows * frames, (rows, parts, frames), generator=generator)
    pool = codes.transpose(0, 1).flatten(1)  # [P, B * T]
    found = pool.gather(1, other.to(codes.device).transpose(0, 1).flatten(1))
    found = found.unflatten(1, (rows, frames)).transpose(0, 1)
    return torch.where(replaced.to(codes.device), found, codes)


def corrupt_history(
    decoder: PoseDecoder, context: int, motion: Tensor, codes: Tensor, visible: Tensor
) -> Tensor:
    """Motion `[B, T, 337]` decoded from codes `[B, P, T]` in the frames `visible [B, T]` bool.

    All other frames stay as they are, and so do the first `context` ones, as many as the decoders
    look back: what was before the window, and reaches into them, is not known here.
    """
    decoded = decoder.decode(codes, codes.shape[2]).motion.clone()
    known = torch.arange(motion.shape[1], device=motion.device) >= context
    return torch.where((visible & known)[..., None], decoded, motion)
