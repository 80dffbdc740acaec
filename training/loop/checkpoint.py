"""Checkpoints and loss logs on disk: whole or not at all, read without running any code.

Knows files and how two configurations differ; not what is learned.
"""

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

CHECKPOINT = "checkpoint.pt"
LOG = "losses.jsonl"
FORMAT = 2

FREE = ("loop", "max_minutes", "report_every", "threads", "workers")
"""Settings that may change between a stop and going on: they do not decide what is learned."""


@dataclass(frozen=True)
class Checkpoint:
    """A training after `step` steps and `spent_s` seconds. config: what it was started with.

    The random numbers of a step are drawn anew for each step
    (`training.loop.loop.generator_at`), so config and step are all that is to be known of them.
    """

    step: int
    spent_s: float
    config: Mapping[str, Any]
    objective: Mapping[str, Any]
    optimizer: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace FOLDER/checkpoint.pt. ExportError where that fails: the one before is still there."""
    path = folder / CHECKPOINT
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            state = {**vars(checkpoint), "config": _plain(checkpoint.config)}
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # PyTorch's writer turns the one into the other
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: Exception) -> ExportError:
    """What to say when a file of a training cannot be written."""
    reason = str(error).splitlines()[0]
    return ExportError(
        f"cannot write {path}: {reason}. The checkpoint before it is whole: make room on the disk "
        "and give the same command again"
    )


def load_checkpoint(folder: Path, config: Mapping[str, Any]) -> Checkpoint | None:
    """The checkpoint in `folder`, or None; ConfigError when it is damaged or of other settings."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    again = f"give another --out, or delete {path} to begin anew"
    try:
        checkpoint = _read(path)
    except ConfigError as error:
        raise ConfigError(f"{error}: {again}") from error
    if differing := differences(checkpoint.config, config):
        raise ConfigError(
            f"{path} is of another configuration: {'; '.join(differing)}. Set these back to go "
            f"on, or {again}"
        )
    return checkpoint


def read_objective(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """The tensors of the module `name` of the objective that was trained in `folder`.

    ConfigError where there is no such checkpoint.
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
    except Exception as error:  # whatever PyTorch's reader raises
        raise ConfigError(f"cannot read {path}, it is damaged or no checkpoint") from error
    if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
        raise ConfigError(f"{path} was written by another version of emage-train")
    return Checkpoint(**state)


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What differs between two configurations, by dotted name; FREE settings do not count."""
    one, two = (
        _flat({name: value for name, value in _plain(config).items() if name not in FREE})
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
    """Without enumerations, and with lists for tuples: as it comes back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(config))
    return plain


class LossLog:
    """FOLDER/losses.jsonl: one JSON object a step, each step once, in order.

    done: steps that are kept of an earlier run; later ones were lost with it and come again.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._path = folder / LOG
        kept = [line for line, step in _lines(self._path) if step < done]
        temporary = self._path.with_name(f".{LOG}.part")
        with self._said():
            temporary.write_text("".join(kept))
            os.replace(temporary, self._path)
            self._file: TextIO = self._path.open("a")

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add a step; on disk after `flush`."""
        with self._said():
            self._file.write(json.dumps({"step": step, **values}) + "\n")

    def flush(self) -> None:
        """Put on disk what was written. Before a checkpoint: the log must not lack its steps."""
        with self._said():
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """End of the log. What a full disk does not take is of steps that will come again."""
        with contextlib.suppress(OSError):
            self._file.close()


def _lines(path: Path) -> list[tuple[str, int]]:
    """Whole lines with their steps; what follows a damaged line is dropped."""
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
    """The steps in a folder's loss log."""
    return [json.loads(line) for line, _ in _lines(folder / LOG)]
