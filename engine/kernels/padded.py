"""Kernels of fixed shapes for any number of rows: the smallest that is large enough, filled up.

For pools, whose batches differ in size from step to step. Rows do not see each other, so what the
filling rows compute is thrown away and changes nothing.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.errors import KernelError
from engine.kernels.base import Kernel, WindowInputs, WindowOutputs


def batch_sizes(most: int) -> list[int]:
    """Sizes up to `most`; for any batch one is at most half too large: 1 2 3 4 6 8 12 ..."""
    sizes = {most}
    power = 1
    while power < most:
        sizes |= {power, min(most, power + (power + 1) // 2)}
        power *= 2
    return sorted(sizes)


class PaddedKernel:
    """Runs one of `kernels`, each made for windows of as many rows as its key.

    Raises KernelError for none, and for more rows than the largest takes.
    """

    def __init__(self, kernels: Mapping[int, Kernel]) -> None:
        if not kernels:
            raise KernelError("expected at least one kernel to fill up to; make one for 1 row")
        self._kernels = dict(sorted(kernels.items()))
        self.name = next(iter(self._kernels.values())).name

    def __call__(self, inputs: WindowInputs) -> WindowOutputs:
        """Forward over one window of each row."""
        rows = len(inputs.speaker)
        size = next((size for size in self._kernels if size >= rows), None)
        if size is None:
            raise KernelError(
                f"this kernel was made for up to {max(self._kernels)} rows, not {rows}; make the "
                "pool smaller or the kernel larger"
            )
        kernel = self._kernels[size]
        if size == rows:
            return kernel(inputs)
        outputs = kernel(WindowInputs(*(_filled(tensor, size) for tensor in inputs)))
        return WindowOutputs(
            tuple(tensor[:rows] for tensor in outputs.latents),
            tuple(tensor[:rows] for tensor in outputs.logits),
        )


def _filled(tensor: Tensor, rows: int) -> Tensor:
    """`tensor` with copies of its last row behind it: ordinary values, as a kernel expects them."""
    return torch.cat((tensor, tensor[-1:].expand(rows - len(tensor), *tensor.shape[1:])))
