"""Rows of several kinds, take after take: in memory, or in files that are mapped into it.

A corpus of many hours does not fit into memory. Its rows are then written to a folder once, take by
take, and read from there as they are drawn; whoever begins again with the same `key` finds them.
Knows nothing of what the rows mean.
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
_VERSION = 4  # of what is kept: rows of another one are made anew


@dataclass(frozen=True)
class Rows:
    """kinds: tensors `[N, ...]` by name, all of one length; lengths and labels of the takes."""

    kinds: Mapping[str, Tensor]
    lengths: tuple[int, ...]
    labels: tuple[str, ...]


def key_of(paths: Sequence[Path], weights: Iterable[Mapping[str, Tensor]], *settings: Any) -> str:
    """A name for what rows are made of: the files as they are now, networks' weights, settings."""
    digest = hashlib.sha256(repr((_VERSION, *settings)).encode())
    for path in paths:
        state = path.stat()
        digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    for each in weights:
        for name, value in sorted(each.items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def in_memory(takes: Iterable[tuple[str, Arrays]]) -> Rows:
    """The rows of (label, arrays `[T, ...]` by name) of each take."""
    kept: dict[str, list[np.ndarray]] = {}
    lengths, labels = [], []
    for label, arrays in takes:
        lengths.append(_length(arrays))
        labels.append(label)
        for name, array in arrays.items():
            kept.setdefault(name, []).append(array)
    kinds = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in kept.items()}
    return Rows(kinds, tuple(lengths), tuple(labels))


def _length(arrays: Arrays) -> int:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ConfigError(f"rows of one take must be of one length, got {lengths}")
    return next(iter(lengths.values()))


def mapped(takes: Iterable[tuple[str, Arrays]], folder: Path, key: str) -> Rows:
    """The rows in `folder`, written there unless rows of the same key are.

    Several processes may do so at once: each writes a folder of its own, the first one stays.
    """
    found = _open(folder, key)
    if found is None:
        made = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(made, ignore_errors=True)
        _write(takes, made, key)
        found = _keep(made, folder, key)
    return found


def _keep(made: Path, folder: Path, key: str) -> Rows:
    found = _open(folder, key)
    if found is not None:  # somebody else was sooner
        shutil.rmtree(made)
        return found
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(made, folder)
    kept = _open(folder, key)
    assert kept is not None
    return kept


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
    """The rows in `folder`; None where there are none or others."""
    if not (folder / INDEX).is_file():
        return None
    index = json.loads((folder / INDEX).read_text())
    if index["key"] != key:
        return None
    count = sum(index["lengths"])
    kinds = {}
    for name, (kind, tail) in index["forms"].items():
        # Copied where written to: a tensor wants memory that it may write, and no file changes.
        rows = np.memmap(folder / f"{name}.rows", kind, "c", shape=(count, *tail))
        kinds[name] = torch.from_numpy(rows)
    return Rows(kinds, tuple(index["lengths"]), tuple(index["labels"]))
