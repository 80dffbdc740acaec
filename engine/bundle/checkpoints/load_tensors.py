"""Filling a network with the tensors of a checkpoint, each accounted for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from engine.bundle.checkpoints.key_map import POSITIONS
from engine.bundle.checkpoints.load_report import LoadReport
from engine.errors import BundleError
from engine.model.layers import PeriodicPositions

_MISSING: Final = "is missing"
_UNUSED_COUNT: Final = ".num_batches_tracked"  # of training steps; older files lack it


class Names(Protocol):
    """How a checkpoint calls our tensors."""

    @property
    def leftovers(self) -> tuple[str, ...]:
        """Beginnings of names that are expected and not used."""
        ...

    def official(self, ours: str) -> str:
        """The checkpoint's name of our tensor `ours`."""
        ...


@dataclass(frozen=True)
class Network:
    """One network of a checkpoint: the tensors of the file `path`, and their names."""

    path: Path
    tensors: Mapping[str, Tensor]
    names: Names


def fill(module: nn.Module, network: Network) -> LoadReport:
    """Load `network` into `module` if all of it fits; the report says what did not."""
    rest = dict(network.tensors)
    state: dict[str, Tensor] = {}
    wrong: dict[str, str] = {}
    for ours, like in module.state_dict().items():
        name = network.names.official(ours)
        found = rest.pop(name, None)
        if found is None and name.endswith(_UNUSED_COUNT):
            found = torch.zeros_like(like)
        problem = _MISSING if found is None else _misfit(found, like)
        if found is None or problem:
            wrong[name] = f"{problem}; expected shape {list(like.shape)}"
        else:
            state[ours] = found.reshape(like.shape).to(like.dtype)
    leftovers = tuple(name for name in rest if name.startswith(network.names.leftovers))
    unexpected = tuple(name for name in rest if name not in leftovers)
    problems = {**wrong, **dict.fromkeys(unexpected, "is not of this model")}
    if not problems:
        module.load_state_dict(state, assign=True)  # a second copy would double the memory
    return LoadReport(
        matched=tuple(network.names.official(ours) for ours in state),
        leftovers=leftovers,
        missing=tuple(name for name, what in wrong.items() if what.startswith(_MISSING)),
        misfits=tuple(name for name, what in wrong.items() if not what.startswith(_MISSING)),
        unexpected=unexpected,
        problem=next((f"{network.path}: tensor {n} {what}" for n, what in problems.items()), ""),
    )


def _misfit(found: Tensor, like: Tensor) -> str:
    """What is wrong with a tensor, empty if nothing is."""
    if found.shape not in (like.shape, (1, 1, *like.shape)):  # the latter: what hides channels
        return f"has shape {list(found.shape)}"
    if found.is_floating_point() != like.is_floating_point():
        return f"is of {found.dtype}"
    if found.is_floating_point() and not _finite(found):
        return "holds NaN or infinite values: the file is damaged"
    return ""


def _finite(tensor: Tensor) -> bool:
    """A sum that is finite has no other terms, and takes a fraction of the time to look at each."""
    return bool(tensor.sum().isfinite()) or bool(torch.isfinite(tensor).all())


def check_positions(network: Network, positions: PeriodicPositions) -> None:
    """Raise BundleError where a stored table of positions is not the one that is computed."""
    stored = network.tensors.get(POSITIONS)
    if stored is None:
        return
    computed = positions(stored.shape[1]) if stored.dim() == 3 else torch.zeros(0)
    if stored.shape != computed.shape or not torch.allclose(stored.float(), computed, atol=1e-3):
        raise BundleError(
            f"{network.path}: tensor {POSITIONS}, {list(stored.shape)}, is not the table of sines "
            f"that repeats every {positions.table.shape[0]} frames: these weights need another "
            "program"
        )
