"""Conversion of `bundle.json` from format 1 to format 2.

Format 2 has other keys, which the dataclasses list in `renamed_keys`, and other names of two enums.
The tensors in `weights.safetensors` have the same names in both formats.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Final, get_args, get_origin, get_type_hints

from engine.bundle.config import BundleConfig
from engine.config.serialize import renamed_keys
from engine.errors import ConfigError

_CODE_SELECTION: Final = {"class": "argmax_or_sample", "latent": "nearest_latent"}
_SEED_ROOT: Final = {"raw": "velocity", "placed": "position"}


def to_format_2(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a mapping of format 1; raises ConfigError if a table is not an object."""
    result: dict[str, Any] = _convert(BundleConfig, mapping)
    if "seed_root" in result:
        result["seed_root"] = _renamed(result["seed_root"], _SEED_ROOT)
    selection = result.get("code_selection")
    if isinstance(selection, Mapping):
        result["code_selection"] = {p: _renamed(v, _CODE_SELECTION) for p, v in selection.items()}
    return result


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    return names.get(value, value) if isinstance(value, str) else value


def _convert(hint: Any, value: Any) -> Any:
    """Rename the keys of `value`, a field of type `hint`, and of the dataclasses within it."""
    if not isinstance(value, Mapping):
        return value
    if get_origin(hint) is dict:
        return {key: _convert(get_args(hint)[1], item) for key, item in value.items()}
    cls = next((t for t in (hint, *get_args(hint)) if is_dataclass(t)), None)
    if not isinstance(cls, type):
        return value
    hints = get_type_hints(cls)
    return {key: _convert(hints.get(key), item) for key, item in _moved(cls, value).items()}


def _moved(cls: type, value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` with the new keys; values with a dotted key are moved into that table."""
    places = {key: renamed_keys(cls).get(key, key) for key in value}
    result = {new: value[key] for key, new in places.items() if "." not in new}
    for key, new in places.items():
        if "." in new:
            table, name = new.split(".")
            entries = result.get(table, {})
            if not isinstance(entries, Mapping):
                raise ConfigError(f"{table}: expected an object, got {entries!r}")
            result[table] = {**entries, name: value[key]}
    return result
