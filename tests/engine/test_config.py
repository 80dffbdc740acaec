from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from engine.config import (
    AudioEncoderConfig,
    AudioKind,
    GestureConfig,
    GlobalMotionConfig,
    MotionEncoderConfig,
    PartVaeConfig,
    WordConfig,
    from_mapping,
    live_config,
    published_audio_config,
    published_text_config,
    to_mapping,
)
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


def test_an_integer_serves_as_a_float_only() -> None:
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


@pytest.mark.parametrize(
    "config",
    [
        live_config(70, 300),
        published_audio_config(),
        published_text_config(11195),
        PartVaeConfig(78, causal=True),
        GlobalMotionConfig(61),
    ],
    ids=["live", "audio", "text", "vae", "global"],
)
def test_the_designs_pass_through_a_mapping(config: object) -> None:
    assert from_mapping(type(config), to_mapping(config)) == config


FEATURES = AudioEncoderConfig(AudioKind.FEATURES, 8, 16, dilations=(1,))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: PartVaeConfig(0), "channels"),
        (lambda: PartVaeConfig(8, commitment=-1.0), "commitment"),
        (lambda: GlobalMotionConfig(8, layers=0), "layers"),
        (lambda: AudioEncoderConfig(AudioKind.FEATURES, 8), "dilations"),
        (lambda: AudioEncoderConfig(AudioKind.WAVE, 1, dilations=(1,)), "dilations"),
        (lambda: AudioEncoderConfig(AudioKind.FEATURES, 8, dilations=(1, 0)), "dilations"),
        (lambda: AudioEncoderConfig(AudioKind.WAVE, 1, width=18), "width"),
        (lambda: WordConfig(0), "vocabulary"),
        (lambda: WordConfig(5, attention_layers=3), "attention_layers"),
        (lambda: MotionEncoderConfig(layers=0), "layers"),
        (lambda: GestureConfig(FEATURES, width=30), "width"),
        (lambda: GestureConfig(FEATURES, width=15, heads=3), "width"),
        (lambda: GestureConfig(FEATURES, dropout=1.0), "dropout"),
        (lambda: GestureConfig(FEATURES, speakers=0), "speakers"),
    ],
)
def test_a_number_out_of_range_is_refused(make, name: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=rf"^{name} must be"):
        make()
