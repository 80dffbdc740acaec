from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

import pytest

from engine.config.serialize import from_mapping, to_mapping
from engine.errors import ConfigError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    count: int
    ratio: float = 0.5

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError(f"count must be 0 or more, got {self.count}")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    colour: Colour = Colour.RED
    many: tuple[Inner, ...] = ()
    pair: tuple[int, str] = (1, "a")
    maybe: Inner | None = None
    table: dict[str, tuple[float, ...]] = field(default_factory=dict)
    flag: bool = False


FULL = Outer(
    name="x",
    inner=Inner(3, 0.25),
    colour=Colour.BLUE,
    many=(Inner(1), Inner(2)),
    pair=(7, "b"),
    maybe=Inner(9),
    table={"mean": (1.0, 2.0)},
    flag=True,
)


@pytest.mark.parametrize("config", [FULL, Outer("y", Inner(0))])
def test_a_mapping_and_back(config: Outer) -> None:
    mapping = to_mapping(config)
    assert from_mapping(Outer, mapping) == config


def test_a_mapping_is_plain() -> None:
    mapping = to_mapping(FULL)
    assert type(mapping["colour"]) is str
    assert mapping["many"] == [{"count": 1, "ratio": 0.5}, {"count": 2, "ratio": 0.5}]
    assert mapping["table"] == {"mean": [1.0, 2.0]}


def test_an_integer_is_accepted_as_a_float_only() -> None:
    assert from_mapping(Inner, {"count": 1, "ratio": 2}) == Inner(1, 2.0)
    with pytest.raises(ConfigError, match=r"expected int, got 1\.0"):
        from_mapping(Inner, {"count": 1.0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nam": "x"}, r"Outer: unknown key 'nam'; expected name, inner"),
        ({"inner": {"count": 1, "x": 2}}, r"Outer\.inner: unknown key 'x'"),
        ({"inner": {}}, r"Outer\.inner: key 'count' is missing"),
        ({"inner": {"count": "1"}}, r"Outer\.inner\.count: expected int, got '1'"),
        ({"inner": {"count": True}}, r"Outer\.inner\.count: expected int, got True"),
        ({"inner": {"count": -1}}, r"Outer\.inner: count must be 0 or more, got -1"),
        ({"inner": 5}, r"Outer\.inner: expected an object of Inner, got 5"),
        ({"many": [{"count": 1}, {"count": None}]}, r"Outer\.many\[1\]\.count: expected int"),
        ({"many": {"count": 1}}, r"Outer\.many: expected a list"),
        ({"pair": [1]}, r"Outer\.pair: expected 2 values, got 1"),
        ({"pair": [1, 2]}, r"Outer\.pair\[1\]: expected str, got 2"),
        ({"colour": "green"}, r"Outer\.colour: expected one of 'red', 'blue', got 'green'"),
        ({"table": {"mean": [None]}}, r"Outer\.table\.mean\[0\]: expected float, got None"),
        ({"table": []}, r"Outer\.table: expected an object"),
        ({"flag": 1}, r"Outer\.flag: expected bool, got 1"),
        ({"name": None}, r"Outer\.name: expected str, got None"),
    ],
)
def test_a_bad_value_is_named_by_its_path(change: dict[str, object], message: str) -> None:
    mapping = {"name": "x", "inner": {"count": 1}} | change
    with pytest.raises(ConfigError, match=message):
        from_mapping(Outer, mapping)


def test_only_a_dataclass_can_be_written() -> None:
    with pytest.raises(ConfigError, match="expected a dataclass"):
        to_mapping({"a": 1})


@dataclass(frozen=True)
class Renamed:
    renamed_keys: ClassVar[Mapping[str, str]] = {"old": "new", "moved": "table.value"}

    new: int = 0


@pytest.mark.parametrize(("key", "new"), [("old", "new"), ("moved", r"table\.value")])
def test_a_former_key_is_an_error_that_names_the_new_one(key: str, new: str) -> None:
    with pytest.raises(ConfigError, match=f"^Renamed: key '{key}' was renamed; use '{new}'$"):
        from_mapping(Renamed, {key: 1})
    assert from_mapping(Renamed, {"new": 1}) == Renamed(1)
    assert to_mapping(Renamed(1)) == {"new": 1}
