"""Contradicting settings are an error, and every field is documented.

The generated reference of the configuration reads the docstrings: a section `Attributes:` with
lines `    name: meaning, unit; special values.` and continuation lines that are indented deeper.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

from engine.bundle.config import BundleConfig
from engine.config.model import FrontEnd
from engine.config.serialize import renamed_keys
from engine.errors import ConfigError
from tests.support.tiny_bundle import tiny_published_config


def test_mute_unvoiced_requires_features() -> None:
    config = tiny_published_config(FrontEnd.WAVE)
    with pytest.raises(ConfigError, match="mute_unvoiced must be false for a network"):
        dataclasses.replace(config, mute_unvoiced=True)


def dataclasses_in(hint: Any) -> Iterator[type]:
    """The dataclass `hint` or those in its arguments, and those of their fields."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
        hints = get_type_hints(hint)
        for field in dataclasses.fields(hint):
            yield from dataclasses_in(hints[field.name])
    for argument in get_args(hint):
        yield from dataclasses_in(argument)


def documented(cls: type) -> list[str]:
    """Names of the documented fields, in order."""
    _, _, section = inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:\n")
    return re.findall(r"^    (\w+): \S", section, re.MULTILINE)


every_configuration = pytest.mark.parametrize(
    "cls", dict.fromkeys(dataclasses_in(BundleConfig)), ids=lambda cls: cls.__name__
)


@every_configuration
def test_every_field_is_documented_in_order(cls: Any) -> None:
    assert documented(cls) == [field.name for field in dataclasses.fields(cls)]


@every_configuration
def test_renamed_keys_name_present_fields(cls: Any) -> None:
    assert not renamed_keys(cls).keys() & {field.name for field in dataclasses.fields(cls)}
    for new in renamed_keys(cls).values():
        table: Any = cls
        for name in new.split("."):
            assert name in {field.name for field in dataclasses.fields(table)}
            table = next(dataclasses_in(get_type_hints(table)[name]), None)
