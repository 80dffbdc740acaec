"""Loads the tensors of a checkpoint into a network and reports on each."""

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
_UNUSED_COUNT: Final = ".num_batches_tracked"  # of training steps; absent in older files


class Names(Protocol):
    """Names of our tensors in a checkpoint."""

    @property
    def leftovers(self) -> tuple[str, ...]:
        """Prefixes of names that are expected but not used."""
        ...

    def published_name(self, ours: str) -> str:
        """Name in the checkpoint of our tensor `ours`."""
        ...


@dataclass(frozen=True)
class Network:
    """A network of a checkpoint: the tensors of the file `path`, and their names."""

    path: Path
    tensors: Mapping[str, Tensor]
    names: Names


def fill(module: nn.Module, network: Network) -> LoadReport:
    """Load `network` into `module` if all tensors fit; otherwise only report."""
    rest = dict(network.tensors)
    state: dict[str, Tensor] = {}
    wrong: dict[str, str] = {}
    for ours, like in module.state_dict().items():
        name = network.names.published_name(ours)
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
        module.load_state_dict(state, assign=True)  # a copy would double the memory
    return LoadReport(
        matched=tuple(network.names.published_name(ours) for ours in state),
        leftovers=leftovers,
        missing=tuple(name for name, text in wrong.items() if text.startswith(_MISSING)),
        misfits=tuple(name for name, text in wrong.items() if not text.startswith(_MISSING)),
        unexpected=unexpected,
        problem=next((f"{network.path}: tensor {n} {text}" for n, text in problems.items()), ""),
    )


def _misfit(found: Tensor, like: Tensor) -> str:
    """Text on a tensor that does not fit; empty if it fits."""
    if found.shape not in (like.shape, (1, 1, *like.shape)):  # the latter: the mask embedding
        return f"has shape {list(found.shape)}"
    if found.is_floating_point() != like.is_floating_point():
        return f"is of {found.dtype}"
    if found.is_floating_point() and not _finite(found):
        return "holds NaN or infinite values: the file is damaged"
    return ""


def _finite(tensor: Tensor) -> bool:
    """A finite sum implies finite terms, and is much faster than a test of each."""
    return bool(tensor.sum().isfinite()) or bool(torch.isfinite(tensor).all())


def check_positions(network: Network, positions: PeriodicPositions) -> None:
    """Raise BundleError if a stored table of positions differs from the computed one."""
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
