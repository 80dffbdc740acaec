"""Weights of a module to and from a flat mapping of tensors, every misfit named.

Knows nothing of files: `engine.bundle` reads and writes those.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from engine.errors import BundleError


def save_state(
    module: nn.Module, prefix: str = "", *, dtype: torch.dtype | None = None
) -> dict[str, Tensor]:
    """Copies of a module's tensors on the CPU, their names led by `prefix`.

    dtype: what floating-point tensors are stored as; None keeps theirs.
    """
    result = {}
    for name, tensor in module.state_dict().items():
        kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        copy = torch.empty(tensor.shape, dtype=kind)
        result[prefix + name] = copy.copy_(tensor.detach())
    return result


def load_state(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    prefix: str = "",
    *,
    ignore: Sequence[str] = (),
) -> None:
    """Fill `module` from the tensors whose names begin with `prefix`; its own types are kept.

    ignore: beginnings of names (after the prefix) that may be there without a place to go. Raises
    BundleError, naming the first tensor concerned, for one that is missing, has another shape, has
    no place, or holds NaN or infinity. The module is then unchanged.
    """
    found = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
    wanted = module.state_dict()
    for name, target in wanted.items():
        if name not in found:
            raise BundleError(f"weights: {prefix + name} {tuple(target.shape)} is missing")
        _check(prefix + name, found[name], target)
    for name in found:
        if name not in wanted and not name.startswith(tuple(ignore)):
            raise BundleError(
                f"weights: {prefix + name} {tuple(found[name].shape)} has no place in this model; "
                f"do the configuration and the weights belong together?"
            )
    module.load_state_dict({name: found[name] for name in wanted})


def _check(name: str, tensor: Tensor, target: Tensor) -> None:
    if tensor.shape != target.shape:
        raise BundleError(
            f"weights: {name} must be {tuple(target.shape)} by the configuration, "
            f"got {tuple(tensor.shape)}"
        )
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise BundleError(f"weights: {name} holds NaN or infinity; the file is damaged")


def parameter_count(module: nn.Module) -> int:
    """Number of trained numbers in a module."""
    return sum(parameter.numel() for parameter in module.parameters())
