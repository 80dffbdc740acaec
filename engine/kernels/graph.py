"""What a backend is given and what it gives back: a flat graph, fixed shapes, tensors in and out.

A graph may be the gesture transformer or anything else without memory; backends do not ask. They
know neither bundles nor streams, only where their files may lie and how many threads are theirs.
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
PROOF: Final = ".proof.safetensors"
"""How a file about a match ends; see `engine.kernels.verify`."""
Run = Callable[[Tensors], Tensors]
"""A graph made ready: tensors of the graph's shapes in, new tensors out, nothing remembered."""


class Precision(StrEnum):
    """In what numbers a backend multiplies; how near it must come follows from it."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"


@dataclass(frozen=True)
class Graph:
    """A module of tensors in, tuple of tensors out, with its shapes.

    name: of its files. example: one input each, of the shapes that all later ones have. inputs,
    outputs: names, in order. samples: real inputs for a backend that calibrates, made only when
    they are asked for. robust: patterns found in the names of what bears 8-bit numbers;
    rounded: of the other linear maps that a backend in 8 bits may multiply in bfloat16.
    halved: names of the submodules that a backend in half precision may compute so; all of it
    unless given.
    """

    name: str
    module: nn.Module
    example: Tensors
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    samples: Callable[[], Sequence[Tensors]] = tuple
    robust: tuple[str, ...] = ()
    rounded: tuple[str, ...] = ()
    halved: tuple[str, ...] = ("",)

    @property
    def signature(self) -> str:
        """The shapes of the inputs, as part of a file's name: `1x64x337-1x64`."""
        return "-".join("x".join(map(str, tensor.shape)) for tensor in self.example)


def _nothing(text: str) -> None:
    pass


@dataclass(frozen=True)
class Settings:
    """threads: that a graph may use at once. folder: where what was made of this very model may
    be kept, None to keep nothing. say: told what takes long. machine: with its versions, what a
    comparison holds for; without a name none is remembered.
    """

    threads: int = 1
    folder: Path | None = None
    say: Callable[[str], None] = field(default=_nothing)
    machine: str = ""

    def kept(self, graph: Graph, *marks: str) -> Path | None:
        """Where a backend may keep what it made of `graph`; marks: whatever else changes it."""
        if self.folder is None:
            return None
        return self.folder / "_".join((graph.name, graph.signature, *marks))

    def files(self, graph: Graph) -> list[Path]:
        """The files that are kept of `graph`, but for those about matches."""
        return [path for path in self._all(graph) if not path.name.endswith(PROOF)]

    def _all(self, graph: Graph) -> list[Path]:
        kept = self.kept(graph)
        return [] if kept is None else cache.listed(kept.parent, f"{kept.name}_")

    def forget(self, graph: Graph) -> bool:
        """Delete everything kept of `graph`; False where nothing was, or where it stays."""
        gone = [cache.delete(path) for path in self._all(graph)]
        return bool(gone) and all(gone)

    @property
    def mark(self) -> str:
        """Machine and threads as part of a file's name, for what is compiled for them."""
        return hashlib.sha256(f"{self.machine} {self.threads}".encode()).hexdigest()[:8]

    def write(self, path: Path | None, data: bytes | memoryview) -> bool:
        """Keep a file; False, and one line to the user, where that is not possible."""
        return cache.write(path, data, self.say)


class Backend(Protocol):
    """Makes graphs ready to run. Raises KernelError for what it cannot run, and
    MissingBackendError where its library or its device is not there.
    """

    name: str
    precision: Precision

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        """The graph, ready to run."""
        ...
