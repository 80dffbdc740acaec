"""Weights in 8 bits that give nearly what they gave: rounded one input after the other, each
mistake made good by the inputs that are still to come.

After "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (Frantar
et al., ICLR 2023). Pure numbers: knows no backend.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

LEVELS: Final = 127
_DAMPING: Final = 0.01  # of the mean square of an input, added to all: inputs seen are never enough
_BLOCK: Final = 128  # inputs whose mistakes are made good among themselves before those after them


class Rounded(NamedTuple):
    """codes int8 `[N, K]`, scales `[N, 1]`: the weights are their product."""

    codes: Tensor
    scales: Tensor


def rounded(weight: Tensor, gram: Tensor) -> Rounded:
    """Weights `[N, K]` of a linear map of K inputs, by what these inputs are.

    gram `[K, K]`: the sum of x x^T over inputs x that were seen. Of all weights with the same
    scales, those are sought whose results differ least on such inputs.
    """
    scales = weight.abs().amax(1, keepdim=True) / LEVELS
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    left, codes = weight.double(), torch.zeros_like(weight, dtype=torch.int8)
    spread = _spread(gram.double())
    for start in range(0, weight.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        codes[:, block], mistakes = _block(left[:, block], scales.double(), spread[block, block])
        rest = slice(start + _BLOCK, None)
        left[:, rest] -= mistakes @ spread[block, rest]
    return Rounded(codes, scales)


def _spread(gram: Tensor) -> Tensor:
    """Upper triangle `[K, K]` by whose rows an input's mistake is spread over the later ones."""
    mean = gram.diagonal().mean()
    # Without any input all are worth the same.
    damped = gram + torch.eye(len(gram), dtype=gram.dtype) * (_DAMPING * mean if mean > 0 else 1.0)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)


def _block(weight: Tensor, scales: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Codes `[N, b]` of some inputs and their mistakes, each over what it weighs."""
    left, codes, mistakes = (torch.empty_like(weight) for _ in range(3))
    left.copy_(weight)
    for i in range(weight.shape[1]):
        codes[:, i : i + 1] = (left[:, i : i + 1] / scales).round().clamp(-LEVELS, LEVELS)
        mistake = (left[:, i] - codes[:, i] * scales[:, 0]) / spread[i, i]
        left[:, i:] -= mistake[:, None] * spread[i, i:]
        mistakes[:, i] = mistake
    return codes.to(torch.int8), mistakes
