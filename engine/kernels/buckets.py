"""Batch-size buckets: kernels of fixed shapes for any batch size, by padding.

For pools, whose batches differ in size from step to step. Rows are independent, so the outputs of
the padding are dropped without an effect on the others.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor

from engine.errors import KernelError
from engine.model.types import Kernel, WindowInputs, WindowOutputs

_Made = TypeVar("_Made")


def batch_sizes(most: int) -> list[int]:
    """Batch sizes up to `most`, one at most half too large for any batch: 1 2 3 4 6 8 12 ..."""
    sizes = {most}
    power = 1
    while power < most:
        sizes |= {power, min(most, power + (power + 1) // 2)}
        power *= 2
    return sorted(sizes)


class Buckets(Generic[_Made]):
    """Kernels or steps by batch size. Raises KernelError for none."""

    def __init__(self, made: Mapping[int, _Made]) -> None:
        if not made:
            raise KernelError("expected at least one kernel to pad to; make one for 1 row")
        self._made = dict(sorted(made.items()))

    @property
    def smallest(self) -> _Made:
        """The one of the smallest batch size."""
        return next(iter(self._made.values()))

    def fitting(self, rows: int) -> tuple[int, _Made]:
        """Batch size and value of the smallest bucket for `rows`; KernelError if there is none."""
        size = next((size for size in self._made if size >= rows), None)
        if size is None:
            raise KernelError(
                f"this kernel was made for up to {max(self._made)} rows, not {rows}; make the "
                "pool smaller or the kernel larger"
            )
        return size, self._made[size]


class BucketedKernel:
    """Runs the smallest of `kernels`, which are by batch size, that is large enough.

    Raises KernelError for no kernels, and for more rows than the largest takes.
    """

    def __init__(self, kernels: Mapping[int, Kernel]) -> None:
        self._buckets = Buckets(kernels)
        self.name = self._buckets.smallest.name

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window of each row."""
        rows = len(inputs.speaker)
        size, kernel = self._buckets.fitting(rows)
        if size == rows:
            return kernel(inputs)
        outputs = kernel(WindowInputs(*(pad_rows(tensor, size) for tensor in inputs)))
        return WindowOutputs(
            tuple(tensor[:rows] for tensor in outputs.latents),
            tuple(tensor[:rows] for tensor in outputs.logits),
        )


def pad_rows(tensor: Tensor, rows: int) -> Tensor:
    """Append copies of the last row: ordinary values, as a kernel expects them."""
    return torch.cat((tensor, tensor[-1:].expand(rows - len(tensor), *tensor.shape[1:])))
