"""Arrays of all takes, concatenated: in memory or in memory-mapped files.

A corpus of many hours exceeds the memory. Its rows are written to a folder once, take by take, and
mapped from there. A later run with the same key reuses the files.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import ConfigError
from training.data.clips import write_json

Arrays = Mapping[str, np.ndarray]
INDEX = "rows.json"
_VERSION = 5  # of the content; part of the key, so that other rows are recomputed


@dataclass(frozen=True)
class Rows:
    """Concatenated arrays of takes.

    Attributes:
        arrays: tensors `[N, ...]` of equal length by name.
        lengths: rows of each take.
        labels: label of each take.

    """

    arrays: Mapping[str, Tensor]
    lengths: tuple[int, ...]
    labels: tuple[str, ...]


def key_of(paths: Sequence[Path], weights: Iterable[Mapping[str, Tensor]], *settings: Any) -> str:
    """Hash of the source files (name, size, time), network weights and settings."""
    digest = hashlib.sha256(repr((_VERSION, *settings)).encode())
    for path in paths:
        state = path.stat()
        digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    for each in weights:
        for name, value in sorted(each.items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def concatenate_rows(takes: Iterable[tuple[str, Arrays]]) -> Rows:
    """Concatenate the takes, each given as (label, arrays `[T, ...]` by name), in memory."""
    columns: dict[str, list[np.ndarray]] = {}
    lengths, labels = [], []
    for label, arrays in takes:
        lengths.append(_length(arrays))
        labels.append(label)
        for name, array in arrays.items():
            columns.setdefault(name, []).append(array)
    joined = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in columns.items()}
    return Rows(joined, tuple(lengths), tuple(labels))


def _length(arrays: Arrays) -> int:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ConfigError(f"rows of one take must be of one length, got {lengths}")
    return next(iter(lengths.values()))


def map_rows(takes: Iterable[tuple[str, Arrays]], folder: Path, key: str) -> Rows:
    """Map the rows in `folder`; they are written first unless the key matches.

    Several processes may write at once, each to its own folder; the first one is kept.
    """
    found = _open(folder, key)
    if found is None:
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        _write(takes, temporary, key)
        found = _publish(temporary, folder, key)
    return found


def _publish(temporary: Path, folder: Path, key: str) -> Rows:
    found = _open(folder, key)
    if found is not None:  # another process was faster
        shutil.rmtree(temporary)
        return found
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
    rows = _open(folder, key)
    assert rows is not None
    return rows


def _write(takes: Iterable[tuple[str, Arrays]], folder: Path, key: str) -> None:
    folder.mkdir(parents=True)
    lengths, labels = [], []
    forms: dict[str, tuple[str, list[int]]] = {}
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for label, arrays in takes:
            lengths.append(_length(arrays))
            labels.append(label)
            for name, array in arrays.items():
                form = (str(array.dtype), list(array.shape[1:]))
                if name not in files:
                    files[name] = stack.enter_context((folder / f"{name}.rows").open("wb"))
                    forms[name] = form
                if forms[name] != form:
                    raise ConfigError(f"rows {name} must be alike, got {forms[name]} and {form}")
                files[name].write(np.ascontiguousarray(array).data)
    write_json(folder / INDEX, {"key": key, "forms": forms, "lengths": lengths, "labels": labels})


def _open(folder: Path, key: str) -> Rows | None:
    """Map the rows in `folder`; None if there are none or the key differs."""
    if not (folder / INDEX).is_file():
        return None
    index = json.loads((folder / INDEX).read_text())
    if index["key"] != key:
        return None
    count = sum(index["lengths"])
    arrays = {}
    for name, (dtype, tail) in index["forms"].items():
        # Copy-on-write: PyTorch needs writable memory, and the file must not change.
        rows = np.memmap(folder / f"{name}.rows", dtype, "c", shape=(count, *tail))
        arrays[name] = torch.from_numpy(rows)
    return Rows(arrays, tuple(index["lengths"]), tuple(index["labels"]))
