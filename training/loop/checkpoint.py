"""Checkpoints and loss logs: written atomically, read without executing code from the file."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from engine.bundle.io import refuse_pointer
from engine.errors import ConfigError, ExportError
from engine.system.atomic import write_text

CHECKPOINT = "checkpoint.pt"
LOG = "losses.jsonl"
FORMAT = 2

CHANGEABLE = ("loop", "max_minutes", "report_every", "threads", "workers")
"""Settings that may change before a run is resumed, because they do not affect the result."""


@dataclass(frozen=True)
class Checkpoint:
    """State of a training.

    Generators have no state, because they are seeded for each step (`generator_at`).

    Attributes:
        step: number of steps done.
        spent_s: time spent, seconds.
        config: settings of the run.
        objective: state dict of the loss module.
        optimizer: state dict of the optimizer.

    """

    step: int
    spent_s: float
    config: Mapping[str, Any]
    objective: Mapping[str, Any]
    optimizer: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace FOLDER/checkpoint.pt atomically; ExportError if that fails."""
    path = folder / CHECKPOINT
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            state = {**vars(checkpoint), "config": _plain(checkpoint.config)}
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # PyTorch's writer raises the latter for the former
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: Exception) -> ExportError:
    """Build the error for a file of a training that cannot be written."""
    reason = str(error).splitlines()[0]
    return ExportError(
        f"cannot write {path}: {reason}. The previous checkpoint is intact: make room on the "
        "disk and run the same command again"
    )


def load_checkpoint(folder: Path, config: Mapping[str, Any]) -> Checkpoint | None:
    """Load the checkpoint in `folder`, if any; ConfigError if damaged or of other settings."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    again = f"use another --out, or delete {path} to start again"
    try:
        checkpoint = _read(path)
    except ConfigError as error:
        raise ConfigError(f"{error}: {again}") from error
    if differing := differences(checkpoint.config, config):
        raise ConfigError(
            f"{path} is of another configuration: {'; '.join(differing)}. Restore these "
            f"settings to continue, or {again}"
        )
    return checkpoint


def read_objective(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """Load the tensors of the submodule `name` from the checkpoint in `folder`.

    ConfigError if there is none.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise ConfigError(f"expected a training's {path}, which is missing")
    prefix = f"{name}."
    state = _read(path).objective
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _read(path: Path) -> Checkpoint:
    refuse_pointer(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch's reader raises many types
        raise ConfigError(f"cannot read {path}, it is damaged or no checkpoint") from error
    if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
        raise ConfigError(f"{path} was written by another version of emage-train")
    return Checkpoint(**state)


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Differences of two configurations by dotted name, without CHANGEABLE settings."""
    one, two = (
        _flat({name: value for name, value in _plain(config).items() if name not in CHANGEABLE})
        for config in (stored, wanted)
    )
    names = [name for name in one | two if one.get(name, "unset") != two.get(name, "unset")]
    return [
        f"{name} is {two.get(name, 'unset')}, was {one.get(name, 'unset')}"
        for name in sorted(names)
    ]


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        items = [_flat(each, f"{name}.{key}" if name else str(key)) for key, each in value.items()]
        return {key: each for item in items for key, each in item.items()}
    return {name: value}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Convert to the types of JSON, as read back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(config))
    return plain


class LossLog:
    """FOLDER/losses.jsonl: one JSON object per step, in order.

    done: number of steps of an earlier run to keep; later ones are removed and computed again.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._path = folder / LOG
        lines = [line for line, step in _lines(self._path) if step < done]
        with self._errors():
            write_text(self._path, "".join(lines))
            self._file: TextIO = self._path.open("a")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert OSError to ExportError."""
        try:
            yield
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add a step; written to disk by `flush`."""
        with self._errors():
            self._file.write(json.dumps({"step": step, **values}) + "\n")

    def flush(self) -> None:
        """Write to disk. Called before a checkpoint is saved, so that the log has its steps."""
        with self._errors():
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the log. Errors are ignored: unwritten steps are computed again when resumed."""
        with contextlib.suppress(OSError):
            self._file.close()


def _lines(path: Path) -> list[tuple[str, int]]:
    """Complete lines with their steps, up to the first damaged line."""
    found = []
    if path.is_file():
        for line in path.read_text().splitlines(keepends=True):
            try:
                found.append((line, int(json.loads(line)["step"])))
            except (ValueError, KeyError, TypeError):
                break
            if not line.endswith("\n"):
                found.pop()
    return found


def read_log(folder: Path) -> list[dict[str, float]]:
    """Read the steps of a folder's loss log."""
    return [json.loads(line) for line, _ in _lines(folder / LOG)]
