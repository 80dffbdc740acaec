"""Parity of compiled computations with the eager networks: one comparison, one tolerance table.

A comparison needs at least two inputs: a graph that replays stale buffers passes the first one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from engine.errors import KernelError
from engine.kernels.graph import Precision
from engine.model.types import Kernel, WindowInputs, WindowOutputs


class ParityError(KernelError):
    """A compiled computation does not match the eager networks."""


class Outputs(NamedTuple):
    """Results of one call, in groups with a tolerance each.

    Attributes:
        values: latents, class scores or activations.
        codes: selected codes.
        poses: decoded fields, of the same codes on both sides.

    """

    values: Sequence[Tensor] = ()
    codes: Sequence[Tensor] = ()
    poses: Sequence[Tensor] = ()


@dataclass(frozen=True)
class Parity:
    """Distance of two results, or the bounds of it.

    Attributes:
        error: largest |got - expected| / |expected| of any value, Euclidean over the tensor.
        codes: mean share of equal codes.
        poses: the same as `error`, of the poses.

    """

    error: float = 0.0
    codes: float = 1.0
    poses: float = 0.0


TOLERANCES: Final = {
    Precision.FP32: Parity(1e-3, 0.995, 1e-3),
    Precision.FP16: Parity(1e-2, 0.95, 1e-3),
    Precision.BF16: Parity(0.1, 0.7, 1e-3),
    Precision.INT8: Parity(0.1, 0.9, 1e-3),
}
"""Bounds by precision. They hold on random inputs, which lie farther out than speech and on which
many codes score nearly the same; int8 is compared on speech that it was not calibrated on. Poses
are decoded in fp32 by every backend."""

DIFFERENT: Final = Parity(float("inf"), 0.0, float("inf"))
"""Results that cannot be compared: other shapes, or codes out of range."""


def compare(expected: Outputs, got: Outputs) -> Parity:
    """Compare two results of the same input."""
    equal = [
        (a == b).double().mean().item() for a, b in zip(expected.codes, got.codes, strict=True)
    ]
    return Parity(
        _largest(expected.values, got.values),
        sum(equal) / len(equal) if equal else 1.0,
        _largest(expected.poses, got.poses),
    )


def _largest(expected: Sequence[Tensor], got: Sequence[Tensor]) -> float:
    pairs = zip(expected, got, strict=True)
    return max((relative_error(a, b) for a, b in pairs), default=0.0)


def relative_error(expected: Tensor, got: Tensor) -> float:
    """|got - expected| / |expected|; infinite for another shape and for values not finite."""
    if expected.shape != got.shape or not bool(torch.isfinite(got).all()):
        return float("inf")
    difference = (got.double() - expected.double()).norm()
    return float(difference / expected.double().norm().clamp_min(1e-12))


def worst(found: Sequence[Parity]) -> Parity:
    """The largest errors and the mean share of equal codes of several comparisons."""
    return Parity(
        max(each.error for each in found),
        sum(each.codes for each in found) / len(found),
        max(each.poses for each in found),
    )


def require(name: str, found: Parity, precision: Precision) -> None:
    """Raise ParityError, with the figures, where `found` is outside the tolerances."""
    allowed = TOLERANCES[precision]
    close = found.error <= allowed.error and found.poses <= allowed.poses
    if not close or found.codes < allowed.codes:
        raise ParityError(
            f"{name} does not match the eager networks: values {found.error:.2g} apart (at most "
            f"{allowed.error:g} for {precision}), codes {found.codes:.1%} equal (at least "
            f"{allowed.codes:.1%}), poses of the same codes {found.poses:.2g} apart (at most "
            f"{allowed.poses:g}); use another kernel"
        )


# -- kernels -------------------------------------------------------------------------------------


def measure(kernel: Kernel, eager: Kernel, windows: Iterable[WindowInputs]) -> Parity:
    """Compare the outputs of two kernels over `windows`; a code is the class of best score."""
    return worst([compare(_scored(eager(each)), _scored(kernel(each))) for each in windows])


def _scored(outputs: WindowOutputs) -> Outputs:
    values = (*outputs.latents, *outputs.logits)
    return Outputs(values, [logits.argmax(-1) for logits in outputs.logits])
