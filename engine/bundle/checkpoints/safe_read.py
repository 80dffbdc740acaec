"""Safe readers: tensors and JSON from files of others. Nothing in them is executed.

Every damage becomes a BundleError that names the file. Knows no layout and no network.
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
_PARALLEL: Final = "module."  # what training on several devices puts before every name


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    refuse_pointer(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(found, dict):
        raise BundleError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.bin` file of 2024 by name, without `module.` before them.

    Only tensors and plain containers are let in: a file that names any other class is refused.
    """
    refuse_pointer(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BundleError(
            f"{path} holds more than tensors, or is damaged{_named(error)}. It was not loaded, for "
            "loading it could run code: copy it again, or get it from where it was published"
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


def _named(error: Exception) -> str:
    """What the file asks for, where PyTorch says it.

    Its message is not passed on: it goes on with how to load such a file regardless.
    """
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f": it asks for {found[1]}" if found else ""


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
