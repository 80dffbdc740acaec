"""A stand-in for a device that records: notes operators and plays them back in the same places.

As a CUDA graph does, it runs no Python when it plays back, and it refuses what would make the host
wait: a value read from a tensor, a shape that depends on values, a literal brought over.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.kernels.graph import Tensors

_aten = torch.ops.aten
_WAITING = (
    *(_aten._local_scalar_dense, _aten.nonzero, _aten.masked_select, _aten.is_nonzero),
    *(_aten._unique2, _aten.lift_fresh),
)


class Tape(TorchDispatchMode):
    """Notes every operator that is called within."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        assert func.overloadpacket not in _WAITING, f"{func} makes the host wait"
        masked = func.overloadpacket is _aten.index and any(x.dtype == torch.bool for x in tensors)
        assert not masked, "the shape of what a mask selects depends on values"
        found = func(*args, **(kwargs or {}))
        made = [x for x in tree_leaves(found) if isinstance(x, Tensor)]
        devices = {x.device for x in (*tensors, *made) if x.dim()}
        assert len(devices) <= 1, f"{func} goes from device to device: {devices}"
        self.notes.append((func, args, kwargs or {}, found))
        return found

    def play(self) -> None:
        """All of it again: results are written where they were written the first time."""
        with torch.no_grad():
            for func, args, kwargs, found in self.notes:
                if not _is_view(func):
                    _write(found, func(*args, **kwargs))


def _is_view(func: Any) -> bool:
    """Whether the result lies in an argument, where it sees whatever is written there."""
    aliases = [result.alias_info for result in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _write(places: Any, results: Any) -> None:
    for place, result in zip(tree_leaves(places), tree_leaves(results), strict=True):
        if place is not result:
            place.copy_(result)


def record(compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], object]]:
    """As `engine.kernels.cudagraph.Record` asks: run once to settle, then noted."""
    compute()
    with Tape() as tape:
        outputs = compute()
    return outputs, tape.play
