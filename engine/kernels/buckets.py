"""Kernels of fixed shapes for any number of rows: the smallest that is large enough, filled up.

For pools, whose batches differ in size from step to step. Rows do not see each other, so what the
filling rows compute is thrown away and changes nothing.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor

from engine.errors import KernelError
from engine.model.types import Kernel, WindowInputs, WindowOutputs

_Made = TypeVar("_Made")


def batch_sizes(most: int) -> list[int]:
    """Sizes up to `most`; for any batch one is at most half too large: 1 2 3 4 6 8 12 ..."""
    sizes = {most}
    power = 1
    while power < most:
        sizes |= {power, min(most, power + (power + 1) // 2)}
        power *= 2
    return sorted(sizes)


class Sizes(Generic[_Made]):
    """What was made for batches of as many rows as its key. Raises KernelError for nothing."""

    def __init__(self, made: Mapping[int, _Made]) -> None:
        if not made:
            raise KernelError("expected at least one kernel to fill up to; make one for 1 row")
        self._made = dict(sorted(made.items()))

    @property
    def smallest(self) -> _Made:
        """What was made for the fewest rows."""
        return next(iter(self._made.values()))

    def fitting(self, rows: int) -> tuple[int, _Made]:
        """The smallest that takes so many rows, and how many it takes; KernelError for none."""
        size = next((size for size in self._made if size >= rows), None)
        if size is None:
            raise KernelError(
                f"this kernel was made for up to {max(self._made)} rows, not {rows}; make the "
                "pool smaller or the kernel larger"
            )
        return size, self._made[size]


class BucketedKernel:
    """Runs one of `kernels`, each made for windows of as many rows as its key.

    Raises KernelError for none, and for more rows than the largest takes.
    """

    def __init__(self, kernels: Mapping[int, Kernel]) -> None:
        self._sizes = Sizes(kernels)
        self.name = self._sizes.smallest.name

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window of each row."""
        rows = len(inputs.speaker)
        size, kernel = self._sizes.fitting(rows)
        if size == rows:
            return kernel(inputs)
        outputs = kernel(WindowInputs(*(filled(tensor, size) for tensor in inputs)))
        return WindowOutputs(
            tuple(tensor[:rows] for tensor in outputs.latents),
            tuple(tensor[:rows] for tensor in outputs.logits),
        )


def filled(tensor: Tensor, rows: int) -> Tensor:
    """`tensor` with copies of its last row behind it: ordinary values, as a kernel expects them."""
    return torch.cat((tensor, tensor[-1:].expand(rows - len(tensor), *tensor.shape[1:])))
