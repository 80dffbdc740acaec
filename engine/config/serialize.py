"""Conversion of frozen dataclasses of plain values to and from JSON-like mappings."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from engine.errors import ConfigError

T = TypeVar("T")


def from_mapping(cls: type[T], mapping: Mapping[str, Any], path: str = "") -> T:
    """Build the dataclass `cls` from `mapping`; `path` names the mapping in error texts.

    Fields may be bool, int, float, str, enums (by value), other dataclasses, tuples, string-keyed
    dicts, and any of these or None. Raises ConfigError, naming the path of the value, for an
    unknown key, a missing one, a value of the wrong type, or one that the dataclass rejects. For a
    key in `cls.renamed_keys` (a ClassVar, old key to new key) the error names the new key.
    """
    place = path or cls.__name__
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{place}: expected an object of {cls.__name__}, got {mapping!r}")
    known = {f.name: f for f in fields(cls) if f.init}  # type: ignore[arg-type]
    unknown = [key for key in mapping if key not in known]
    if unknown:
        new = renamed_keys(cls).get(unknown[0])
        if new is not None:
            raise ConfigError(f"{place}: key {unknown[0]!r} was renamed; use {new!r}")
        raise ConfigError(f"{place}: unknown key {unknown[0]!r}; expected {', '.join(known)}")
    required = [f.name for f in known.values() if f.default is f.default_factory is MISSING]
    missing = [name for name in required if name not in mapping]
    if missing:
        raise ConfigError(f"{place}: key {missing[0]!r} is missing; add it")
    hints = get_type_hints(cls)
    values = {key: _value(hints[key], mapping[key], f"{place}.{key}") for key in mapping}
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error


def renamed_keys(cls: type) -> Mapping[str, str]:
    """New key of each former key of the dataclass `cls`, as its ClassVar `renamed_keys` lists them.

    A new key is a dotted path if the value moved into a nested table.
    """
    return getattr(cls, "renamed_keys", {})


def to_mapping(config: object) -> dict[str, Any]:
    """Convert a dataclass to dicts, lists, numbers and strings, which `from_mapping` reads."""
    if not is_dataclass(config) or isinstance(config, type):
        raise ConfigError(f"expected a dataclass to write, got {config!r}")
    return {f.name: _plain(getattr(config, f.name)) for f in fields(config) if f.init}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return to_mapping(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    return value


def _value(hint: Any, value: Any, path: str) -> Any:
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _optional(hint, value, path)
    if origin is tuple:
        return _tuple(get_args(hint), value, path)
    if origin in (dict, Mapping):
        return _dict(get_args(hint), value, path)
    if isinstance(hint, type) and is_dataclass(hint):
        return from_mapping(hint, value, path)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint, value, path)
    return _scalar(hint, value, path)


def _optional(hint: Any, value: Any, path: str) -> Any:
    members = [member for member in get_args(hint) if member is not type(None)]
    if len(members) != 1 or len(members) == len(get_args(hint)):
        raise TypeError(f"{path}: only unions with None can be read from a mapping, not {hint}")
    return None if value is None else _value(members[0], value, path)


def _tuple(arguments: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{path}: expected a list, got {value!r}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = arguments[:1] * len(value)
    if len(arguments) != len(value):
        raise ConfigError(f"{path}: expected {len(arguments)} values, got {len(value)}")
    pairs = zip(arguments, value, strict=True)
    return tuple(_value(hint, item, f"{path}[{i}]") for i, (hint, item) in enumerate(pairs))


def _dict(arguments: tuple[Any, ...], value: Any, path: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}: expected an object, got {value!r}")
    key_hint, hint = arguments
    return {
        _value(key_hint, key, path): _value(hint, item, f"{path}.{key}")
        for key, item in value.items()
    }


def _enum(hint: type[Enum], value: Any, path: str) -> Enum:
    try:
        return hint(value)
    except ValueError:
        options = ", ".join(repr(member.value) for member in hint)
        raise ConfigError(f"{path}: expected one of {options}, got {value!r}") from None


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{path}: expected {hint.__name__}, got {value!r}")
    return value


def require(holds: bool, name: str, expected: str, value: object) -> None:
    """Raise ConfigError "`name` must be `expected`, got `value`" unless `holds`."""
    if not holds:
        raise ConfigError(f"{name} must be {expected}, got {value!r}")
