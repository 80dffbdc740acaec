"""Reads tensors and JSON from untrusted files without executing anything in them.

Damaged files raise BundleError with the name of the file.
"""

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from engine.bundle.io import refuse_pointer
from engine.errors import BundleError

_STATE: Final = "model_state"  # the key of the weights in the files of 2024
_PARALLEL: Final = "module."  # prefix of names from training on several devices


def read_json(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file."""
    refuse_pointer(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(found, dict):
        raise BundleError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.bin` file of 2024 by name, without the prefix `module.`.

    Raises BundleError if the file contains anything but tensors and plain containers.
    """
    refuse_pointer(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BundleError(
            f"{path} holds more than tensors, or is damaged{_requested(error)}. It was not loaded, "
            "because loading it could run code: copy it again, or download it from its publisher"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BundleError(
            f"{path} cannot be read as a PyTorch checkpoint ({_first_line(error)}); it may be cut "
            "short: copy it again"
        ) from error
    state = found.get(_STATE) if isinstance(found, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise BundleError(f"{path}: expected tensors under the key {_STATE!r}; it is another model")
    return {str(name).removeprefix(_PARALLEL): tensor for name, tensor in state.items()}


def _requested(error: Exception) -> str:
    """The class that the file requests, if PyTorch names it.

    PyTorch's message is not used, because it explains how to load such a file regardless.
    """
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f": it asks for {found[1]}" if found else ""


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
