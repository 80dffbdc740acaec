"""The gate that a graph made ready goes through: it matches, or gives what it gave when it did.

A comparison with the eager networks takes their time and all of their weights. Where the very files
that a backend kept have matched on this machine before, a few inputs and what came of them were
kept beside them, and the graph must give the same again. Knows neither networks nor backends.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from engine.kernels.graph import PROOF, Graph, Run, Settings, Tensors
from engine.kernels.parity import ParityError, relative_error
from engine.system import cache

_KEPT: Final = 2  # calls: the second would show old buffers played again
_STAMP: Final = "stamp"
_SAME: Final = 1e-4  # of any output; the same program on the same machine only rounds otherwise
Call = tuple[Tensors, Tensors]
"""Inputs of a graph and what came of them."""


def admitted(
    prepare: Callable[[Settings], Run],
    compare: Callable[[Run], Sequence[Tensors]],
    graph: Graph,
    settings: Settings,
    backend: str,
) -> Run:
    """What `prepare` makes of `graph`; where it does not match, made again without what was kept.

    That may be of an older version of this program. compare: raises ParityError, or
    gives the inputs that it was compared on, two at least. Raises what both raise.
    """
    kept, known = settings.files(graph), recalled(graph, settings, backend)
    run = prepare(settings)
    if known and _gives(run, known):
        return run
    try:
        inputs = compare(run)
    except ParityError:
        if not kept or settings.files(graph) != kept:
            raise
        if not settings.forget(graph):  # a folder that cannot be written
            settings = replace(settings, folder=None)
        run = prepare(settings)
        inputs = compare(run)
    remember(graph, settings, backend, [(each, run(each)) for each in inputs[:_KEPT]])
    return run


def _gives(run: Run, calls: Sequence[Call]) -> bool:
    """Whether a graph gives what it gave."""
    for inputs, expected in calls:
        got = run(inputs)
        if len(got) != len(expected):
            return False
        if not all(_same(a, b) for a, b in zip(expected, got, strict=True)):
            return False
    return True


def _same(expected: torch.Tensor, got: torch.Tensor) -> bool:
    if not expected.is_floating_point():
        return bool(torch.equal(expected, got))
    return relative_error(expected, got) <= _SAME


def remember(graph: Graph, settings: Settings, backend: str, calls: Sequence[Call]) -> None:
    """Keep what a graph that matched gave, if anything of it is kept; else nothing."""
    path = _path(graph, settings, backend)
    if path is None or not settings.files(graph):
        return
    tensors = {
        f"{number}.{side}.{i}": tensor.contiguous().clone()
        for number, call in enumerate(calls)
        for side, group in zip(("in", "out"), call, strict=True)
        for i, tensor in enumerate(group)
    }
    tensors[_STAMP] = _stamp(graph, settings)
    settings.write(path, save(tensors))


def recalled(graph: Graph, settings: Settings, backend: str) -> list[Call]:
    """What a graph gave when these very files matched on this machine; nothing if they never
    did.
    """
    data = cache.read(_path(graph, settings, backend))
    if data is None:
        return []
    try:
        tensors = load(bytes(data))
        stamp = tensors.pop(_STAMP)
        return _calls(tensors) if torch.equal(stamp, _stamp(graph, settings)) else []
    except (SafetensorError, KeyError, ValueError):
        return []


def _calls(tensors: dict[str, torch.Tensor]) -> list[Call]:
    def group(number: int, side: str) -> Tensors:
        start = f"{number}.{side}."
        found = {
            int(name[len(start) :]): t for name, t in tensors.items() if name.startswith(start)
        }
        return tuple(found[i] for i in sorted(found))

    numbers = sorted({int(name.split(".")[0]) for name in tensors})
    return [(group(number, "in"), group(number, "out")) for number in numbers]


def _path(graph: Graph, settings: Settings, backend: str) -> Path | None:
    return settings.kept(graph, f"{backend}{PROOF}") if settings.machine else None


def _stamp(graph: Graph, settings: Settings) -> torch.Tensor:
    """What a match depends on: machine, threads, and each file by size and time of writing."""
    files = {path.name: _state(path) for path in settings.files(graph)}
    found = {"machine": settings.machine, "threads": settings.threads, "files": files}
    return torch.tensor(list(json.dumps(found).encode()), dtype=torch.uint8)


def _state(path: Path) -> list[int]:
    try:
        state = path.stat()
        return [state.st_size, state.st_mtime_ns]
    except OSError:  # another process has just deleted it
        return []
