"""The compile kernel: torch.compile on the device of the model. Needs a C++ compiler.

PyTorch caches compiled code in a folder, which it trusts. Here that folder is a temporary one of
each process; its contents are kept as one checked file and unpacked before the next compilation.
"""

import atexit
import contextlib
import functools
import io
import tarfile
from pathlib import Path
from typing import Final

import torch

from engine.errors import MissingBackendError
from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.system import cache
from engine.system.privacy import compile_in

_LEFT_OUT: Final = ("precompiled_headers", "locks")
"""Needed to compile only; the headers are 150 MB."""


class CompileBackend:
    """torch.compile, whole graph, fixed shapes."""

    name = "compile"
    precision = Precision.FP32

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        """Compile the graph, which takes a minute the first time on a machine."""
        marks = (f"torch{torch.__version__}", options.machine_mark)
        path = options.cache_path(graph, *marks, suffix=".tar")
        run = _Compiled(graph)
        try:
            folder = _workplace(options.folder)
            with compile_in(folder):
                cached = _unpacked(path, folder)
                before = _files(folder)
                if not cached:
                    options.log(f"compiling {graph.name} ...")
                run(graph.example)
                if not cached:
                    options.write(path, _packed(folder, _files(folder) - before))
        except Exception as error:  # PyTorch's compiler stages raise errors of any kind
            raise MissingBackendError(
                f"torch.compile cannot compile {graph.name} here: {_reason(error)}"
            ) from error
        return run


@functools.cache
def _workplace(folder: Path | None) -> Path:
    """Folder in which this process compiles; deleted when it ends.

    One folder for all graphs: PyTorch's worker processes keep theirs, and its headers take long to
    compile.
    """
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(cache.scratch(folder))


def _files(folder: Path) -> set[Path]:
    return {
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in _LEFT_OUT
    }


def _packed(folder: Path, files: set[Path]) -> bytes:
    """Files below a folder, as one archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for path in sorted(files):
            archive.add(path, path.relative_to(folder).as_posix())
    return file.getvalue()


def _unpacked(path: Path | None, folder: Path) -> bool:
    """Unpack the cache file into `folder`; False without a usable one."""
    data = cache.read(path)
    if data is None:
        return False
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, OSError):
        return False
    return True


class _Compiled:
    """A compiled graph with input buffers of its own.

    PyTorch compiles again for inputs of other strides, of which a dimension of size 1 may have any,
    and for another mode of gradients; so every call has the same buffers and the same mode.
    """

    def __init__(self, graph: GraphSpec) -> None:
        self._buffers = [
            torch.zeros_like(tensor, memory_format=torch.contiguous_format)
            for tensor in graph.example
        ]
        self._compiled = torch.compile(graph.module, fullgraph=True, dynamic=False)

    def __call__(self, tensors: Tensors) -> Tensors:
        with torch.inference_mode(False), torch.no_grad():
            for buffer, tensor in zip(self._buffers, tensors, strict=True):
                buffer.copy_(tensor)
            return tuple(tensor.clone() for tensor in self._compiled(*self._buffers))


def _reason(error: Exception) -> str:
    """The cause as one line: the innermost message, without PyTorch's advice."""
    if "No working C++ compiler found" in str(error) or "InvalidCxxCompiler" in repr(error):
        return "it needs a C++ compiler such as g++"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
