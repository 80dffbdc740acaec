"""Trained modules on disk: FOLDER/config.json and FOLDER/model.safetensors."""

import json
import os
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from engine.bundle.io import read_safetensors
from engine.config.serialize import from_mapping, to_mapping
from engine.errors import ConfigError, ExportError
from training.data.clips import write_json

T = TypeVar("T")


def save_module(folder: Path, config: Any, module: nn.Module) -> None:
    """Write a module's configuration and weights, each atomically; ExportError on failure."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {n: value.detach().cpu().contiguous() for n, value in module.state_dict().items()}
    path = folder / "model.safetensors"
    temporary = path.with_name(f".{path.name}.part")
    try:
        save_file(weights, str(temporary))
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise ExportError(f"cannot write {path}: {error}; make room on the disk") from error
    write_json(folder / "config.json", to_mapping(config))


def load_config(folder: Path, cls: type[T]) -> T:
    """Read the configuration that `save_module` wrote; ConfigError if it is missing."""
    path = folder / "config.json"
    if not path.is_file():
        raise ConfigError(f"{path} is missing: train this module first")
    return from_mapping(cls, json.loads(path.read_text()))


def load_weights(folder: Path, module: nn.Module) -> None:
    """Load the weights that `save_module` wrote and set `module` to evaluation mode."""
    module.load_state_dict(read_safetensors(folder / "model.safetensors"))
    module.eval()
