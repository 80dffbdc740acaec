"""Interface of the backends: a flat graph with fixed shapes, compiled to tensors in, tensors out.

A graph may be the gesture transformer or any other module without memory.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from torch import Tensor, nn

from engine.system import cache

Tensors = tuple[Tensor, ...]
REFERENCE: Final = ".reference.safetensors"
"""Suffix of a file of reference outputs; see `engine.kernels.verify`."""
Executable = Callable[[Tensors], Tensors]
"""A compiled graph: tensors of the graph's shapes in, new tensors out. Stateless."""


class Precision(StrEnum):
    """Number format of a backend's products; the tolerances of its parity depend on it."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"


@dataclass(frozen=True)
class GraphSpec:
    """A module of tensors in, tuple of tensors out, with its shapes.

    Attributes:
        name: prefix of its files.
        module: the computation.
        example: one tensor per input, with the shapes of all later ones.
        inputs: names of the inputs, in order.
        outputs: names of the outputs, in order.
        samples: recorded inputs for a backend that calibrates; called only by such a backend.
        int8_layers: patterns of the names of layers that tolerate int8.
        bf16_layers: patterns of further linear layers and convolutions that an int8 backend may
            compute in bfloat16.
        fp16_modules: names of the submodules that a half-precision backend may compute in fp16;
            the empty name is the whole module.

    """

    name: str
    module: nn.Module
    example: Tensors
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    samples: Callable[[], Sequence[Tensors]] = tuple
    int8_layers: tuple[str, ...] = ()
    bf16_layers: tuple[str, ...] = ()
    fp16_modules: tuple[str, ...] = ("",)

    @property
    def signature(self) -> str:
        """The shapes of the inputs, as part of a file's name: `1x64x337-1x64`."""
        return "-".join("x".join(map(str, tensor.shape)) for tensor in self.example)


def _ignore(_text: str) -> None:
    """Log nothing."""


@dataclass(frozen=True)
class BuildOptions:
    """Resources of a backend, and the cache of compiled files.

    Attributes:
        threads: threads that a graph may use.
        folder: folder of this model's compiled files; None: nothing is kept.
        log: called with one line about whatever takes long.
        machine: hardware and library versions that a verification holds for; without them no
            reference outputs are kept.

    """

    threads: int = 1
    folder: Path | None = None
    log: Callable[[str], None] = field(default=_ignore)
    machine: str = ""

    def cache_path(self, graph: GraphSpec, *marks: str, suffix: str = "") -> Path | None:
        """File of a compiled `graph`; marks: everything else that changes the file."""
        if self.folder is None:
            return None
        return self.folder / ("_".join((graph.name, graph.signature, *marks)) + suffix)

    def cached_files(self, graph: GraphSpec) -> list[Path]:
        """Compiled files of `graph`, without its reference outputs."""
        return [path for path in self._all(graph) if not path.name.endswith(REFERENCE)]

    def _all(self, graph: GraphSpec) -> list[Path]:
        path = self.cache_path(graph)
        return [] if path is None else cache.listed(path.parent, f"{path.name}_")

    def clear_cache(self, graph: GraphSpec) -> bool:
        """Delete all files of `graph`; False if there were none, or if one could not be deleted."""
        deleted = [cache.delete(path) for path in self._all(graph)]
        return bool(deleted) and all(deleted)

    @property
    def machine_mark(self) -> str:
        """Hash of machine and threads, as part of the name of a file compiled for them."""
        return hashlib.sha256(f"{self.machine} {self.threads}".encode()).hexdigest()[:8]

    def write(self, path: Path | None, data: bytes | memoryview) -> bool:
        """Write a cache file; False, with one line logged, where that is not possible."""
        return cache.write(path, data, self.log)


class Backend(Protocol):
    """Compiles graphs.

    Raises KernelError for a graph that it cannot run, and MissingBackendError without its library
    or its device.
    """

    name: str
    precision: Precision

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        """Compile the graph."""
        ...
