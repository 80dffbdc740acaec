"""Parity of a kernel with the eager one, on random inputs.

At least two inputs: a recorded graph that replays stale buffers passes the first comparison.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from engine.errors import KernelError
from engine.kernels.graph import Precision
from engine.model.types import Kernel, WindowInputs, WindowOutputs


class ParityError(KernelError):
    """A kernel does not match the eager one."""


@dataclass(frozen=True)
class Tolerance:
    """error: of any output, |got - expected| / |expected|, Euclidean over the whole tensor. codes:
    the share of frames and parts whose best-scored code is the same, at least.
    """

    error: float
    codes: float


TOLERANCES: Final = {
    Precision.FP32: Tolerance(1e-3, 0.995),
    Precision.FP16: Tolerance(1e-2, 0.95),
    Precision.BF16: Tolerance(0.1, 0.7),
    Precision.INT8: Tolerance(0.1, 0.9),
}
"""On random inputs, which lie farther out than speech ever does, and on which many codes score
nearly the same; of int8, which is calibrated on speech, on speech that it has not seen."""


@dataclass(frozen=True)
class Parity:
    """How far a kernel was from the eager one: the worst output, the mean share of equal codes."""

    error: float
    codes: float


def compared(expected: WindowOutputs, got: WindowOutputs) -> Parity:
    """Two results for the same window."""
    pairs = zip((*expected.latents, *expected.logits), (*got.latents, *got.logits), strict=True)
    errors = [relative_error(a, b) for a, b in pairs]
    equal = [
        (a.argmax(-1) == b.argmax(-1)).double().mean().item()
        for a, b in zip(expected.logits, got.logits, strict=True)
    ]
    return Parity(max(errors), sum(equal) / len(equal))


def relative_error(expected: Tensor, got: Tensor) -> float:
    """|got - expected| / |expected|; infinite for another shape or what is no number."""
    if expected.shape != got.shape or not bool(torch.isfinite(got).all()):
        return float("inf")
    apart = (got.double() - expected.double()).norm()
    return float(apart / expected.double().norm().clamp_min(1e-12))


def worst(found: Sequence[Parity]) -> Parity:
    """The largest error and the mean share of equal codes."""
    return Parity(max(p.error for p in found), sum(p.codes for p in found) / len(found))


def measure(kernel: Kernel, eager: Kernel, windows: Iterable[WindowInputs]) -> Parity:
    """The parity of `kernel` over `windows`."""
    return worst([compared(eager(window), kernel(window)) for window in windows])


def require_parity(
    kernel: Kernel, eager: Kernel, windows: Sequence[WindowInputs], precision: Precision
) -> Parity:
    """Raise ParityError, with the figure, for a kernel that is too far from the eager one.

    windows: two at least, and different ones.
    """
    found, allowed = measure(kernel, eager, windows), TOLERANCES[precision]
    if found.error <= allowed.error and found.codes >= allowed.codes:
        return found
    raise ParityError(
        f"kernel {kernel.name} does not match the eager one: outputs {found.error:.2g} apart "
        f"(at most {allowed.error:g} for {precision}), codes {found.codes:.1%} equal (at least "
        f"{allowed.codes:.1%}); use another kernel"
    )
