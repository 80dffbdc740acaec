"""Kernels by name."""

from torch import nn

from engine.errors import KernelError
from engine.kernels.base import Kernel
from engine.kernels.eager import EagerKernel

_KERNELS = {EagerKernel.name: EagerKernel}
KERNEL_NAMES = tuple(_KERNELS)


def make_kernel(name: str, model: nn.Module) -> Kernel:
    """The kernel called `name` for `model`; KernelError for an unknown one."""
    if name not in _KERNELS:
        raise KernelError(f"unknown kernel {name!r}; expected one of {', '.join(KERNEL_NAMES)}")
    return _KERNELS[name](model)
