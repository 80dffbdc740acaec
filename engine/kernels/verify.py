"""Verifies a compiled graph before use, against the eager networks or stored reference outputs.

A comparison with the eager networks takes their time and all of their weights. The first build of a
graph stores the outputs of a few inputs beside its compiled files; a later start with the same
files on the same machine only has to reproduce them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from engine.kernels.graph import REFERENCE, Backend, BuildOptions, Executable, GraphSpec, Tensors
from engine.kernels.parity import ParityError, relative_error
from engine.system import cache

_CALLS: Final = 2  # a graph that replays stale buffers reproduces the first call only
_FINGERPRINT: Final = "fingerprint"
_MAX_ERROR: Final = 1e-4  # of any output; the same program on the same machine differs by rounding
Call = tuple[Tensors, Tensors]
"""Inputs of a graph and its outputs."""


def build_verified(
    backend: Backend,
    graph: GraphSpec,
    options: BuildOptions,
    compare: Callable[[Executable], Sequence[Tensors]],
) -> Executable:
    """Compile and verify `graph`; on a mismatch, delete its cached files and compile once more.

    Cached files may be damaged or stale. compare: raises ParityError, or gives the inputs that it
    compared, at least two. Raises what the backend and `compare` raise.
    """
    files, reference = options.cached_files(graph), load_reference(graph, options, backend.name)
    run = backend.prepare(graph, options)
    if reference and _reproduces(run, reference):
        return run
    try:
        inputs = compare(run)
    except ParityError:
        if not files or options.cached_files(graph) != files:
            raise
        if not options.clear_cache(graph):  # a folder that cannot be written
            options = replace(options, folder=None)
        run = backend.prepare(graph, options)
        inputs = compare(run)
    save_reference(graph, options, backend.name, [(each, run(each)) for each in inputs[:_CALLS]])
    return run


def _reproduces(run: Executable, calls: Sequence[Call]) -> bool:
    for inputs, expected in calls:
        got = run(inputs)
        if len(got) != len(expected):
            return False
        if not all(_close(a, b) for a, b in zip(expected, got, strict=True)):
            return False
    return True


def _close(expected: torch.Tensor, got: torch.Tensor) -> bool:
    if not expected.is_floating_point():
        return bool(torch.equal(expected, got))
    return relative_error(expected, got) <= _MAX_ERROR


def save_reference(
    graph: GraphSpec, options: BuildOptions, backend: str, calls: Sequence[Call]
) -> None:
    """Store calls of a verified graph, if its compiled files are kept."""
    path = _path(graph, options, backend)
    if path is None or not options.cached_files(graph):
        return
    tensors = {
        f"{number}.{side}.{i}": tensor.contiguous().clone()
        for number, call in enumerate(calls)
        for side, group in zip(("in", "out"), call, strict=True)
        for i, tensor in enumerate(group)
    }
    tensors[_FINGERPRINT] = _fingerprint(graph, options)
    options.write(path, save(tensors))


def load_reference(graph: GraphSpec, options: BuildOptions, backend: str) -> list[Call]:
    """Stored calls for these compiled files on this machine; empty if there are none."""
    data = cache.read(_path(graph, options, backend))
    if data is None:
        return []
    try:
        tensors = load(bytes(data))
        stored = tensors.pop(_FINGERPRINT)
        return _calls(tensors) if torch.equal(stored, _fingerprint(graph, options)) else []
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


def _path(graph: GraphSpec, options: BuildOptions, backend: str) -> Path | None:
    return options.cache_path(graph, backend, suffix=REFERENCE) if options.machine else None


def _fingerprint(graph: GraphSpec, options: BuildOptions) -> torch.Tensor:
    """Machine, threads, and size and modification time of each compiled file."""
    files = {path.name: _state(path) for path in options.cached_files(graph)}
    found = {"machine": options.machine, "threads": options.threads, "files": files}
    return torch.tensor(list(json.dumps(found).encode()), dtype=torch.uint8)


def _state(path: Path) -> list[int]:
    try:
        state = path.stat()
        return [state.st_size, state.st_mtime_ns]
    except OSError:  # another process has just deleted it
        return []
