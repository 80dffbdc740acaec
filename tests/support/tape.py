"""Emulation of CUDA graph capture: records operators and replays them into the same tensors.

As in a CUDA graph, replay runs no Python code. Operations that synchronise with the host fail:
reading a value, a shape that depends on values, copying a literal to the device.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.kernels.graph import Tensors

_aten = torch.ops.aten
_SYNCHRONISING = (
    *(_aten._local_scalar_dense, _aten.nonzero, _aten.masked_select, _aten.is_nonzero),
    *(_aten._unique2, _aten.lift_fresh),
)


class Tape(TorchDispatchMode):
    """Records every operator that is called in its context."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        assert func.overloadpacket not in _SYNCHRONISING, f"{func} synchronises with the host"
        masked = func.overloadpacket is _aten.index and any(x.dtype == torch.bool for x in tensors)
        assert not masked, "the shape of a masked selection depends on values"
        outputs = func(*args, **(kwargs or {}))
        created = [x for x in tree_leaves(outputs) if isinstance(x, Tensor)]
        devices = {x.device for x in (*tensors, *created) if x.dim()}
        assert len(devices) <= 1, f"{func} mixes devices: {devices}"
        self.calls.append((func, args, kwargs or {}, outputs))
        return outputs

    def play(self) -> None:
        """Run the recorded operators; results are written to the recorded output tensors."""
        with torch.no_grad():
            for func, args, kwargs, outputs in self.calls:
                if not _is_view(func):
                    _write(outputs, func(*args, **kwargs))


def _is_view(func: Any) -> bool:
    """Whether the result is a view of an argument, which is up to date without a copy."""
    aliases = [result.alias_info for result in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _write(targets: Any, results: Any) -> None:
    for target, result in zip(tree_leaves(targets), tree_leaves(results), strict=True):
        if target is not result:
            target.copy_(result)


def record(compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], object]]:
    """Warm up, then record; has the signature of `engine.kernels.cudagraph.Record`."""
    compute()
    with Tape() as tape:
        outputs = compute()
    return outputs, tape.play
