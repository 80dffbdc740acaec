"""GPTQ: int8 weight quantisation column by column, each error compensated in the later columns.

After "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (Frantar
et al., ICLR 2023).
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

LEVELS: Final = 127
_DAMPING: Final = 0.01  # of the mean square of an input, added to all: the sample is finite
_BLOCK: Final = 128  # columns compensated among themselves before the later ones


class QuantizedWeight(NamedTuple):
    """codes int8 `[N, K]`, scales `[N, 1]`; the weights are their product."""

    codes: Tensor
    scales: Tensor


def quantize(weight: Tensor, gram: Tensor) -> QuantizedWeight:
    """Quantise the weights `[N, K]` of a linear layer for the inputs of a sample.

    gram `[K, K]`: sum of x x^T over the inputs x of the sample. Minimises the squared output error
    on it at fixed scales.
    """
    scales = weight.abs().amax(1, keepdim=True) / LEVELS
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    left, codes = weight.double(), torch.zeros_like(weight, dtype=torch.int8)
    inverse = _inverse_hessian(gram.double())
    for start in range(0, weight.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        codes[:, block], errors = _block(left[:, block], scales.double(), inverse[block, block])
        rest = slice(start + _BLOCK, None)
        left[:, rest] -= errors @ inverse[block, rest]
    return QuantizedWeight(codes, scales)


def _inverse_hessian(gram: Tensor) -> Tensor:
    """Upper Cholesky factor `[K, K]` of the inverse Hessian; its rows distribute errors."""
    mean = gram.diagonal().mean()
    # Without any input all columns weigh the same.
    damped = gram + torch.eye(len(gram), dtype=gram.dtype) * (_DAMPING * mean if mean > 0 else 1.0)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)


def _block(weight: Tensor, scales: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Codes `[N, b]` of a block of columns, and their weighted errors."""
    left, codes, errors = (torch.empty_like(weight) for _ in range(3))
    left.copy_(weight)
    for i in range(weight.shape[1]):
        codes[:, i : i + 1] = (left[:, i : i + 1] / scales).round().clamp(-LEVELS, LEVELS)
        error = (left[:, i] - codes[:, i] * scales[:, 0]) / inverse[i, i]
        left[:, i:] -= error[:, None] * inverse[i, i:]
        errors[:, i] = error
    return codes.to(torch.int8), errors
