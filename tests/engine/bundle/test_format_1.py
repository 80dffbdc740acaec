"""Bundles of format 1 load as the same configuration in format 2."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.bundle.config import BundleConfig
from engine.bundle.format_1 import to_format_2
from engine.bundle.io import CONFIG_FILE, DEFAULT_BUNDLE, WEIGHTS_FILE, load_bundle, load_config
from engine.config.model import FrontEnd
from engine.config.serialize import from_mapping, to_mapping
from engine.errors import BundleError, ConfigError
from engine.motion.pose import concatenate
from engine.stream.stream import GestureStream
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_published_config

FORMAT_1: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "format_1.json").read_text(encoding="utf-8")
)


def converted(name: str) -> BundleConfig:
    mapping = {key: value for key, value in FORMAT_1[name].items() if key != "format"}
    return from_mapping(BundleConfig, to_format_2(mapping))


def test_the_starter_of_format_1_equals_the_present_one() -> None:
    """The fixture has fewer words and schedules than the starter, to keep it small."""
    old, new = converted("starter"), load_config(DEFAULT_BUNDLE)
    words, schedules = len(old.vocabulary), len(old.trained_schedules)
    assert old == replace(
        new,
        vocabulary=new.vocabulary[:words],
        trained_schedules=new.trained_schedules[:schedules],
    )
    assert (words, schedules) == (4, 2)
    assert old.postprocess.idle is not None
    assert old.gesture.onset is not None


def test_a_published_checkpoint_of_format_1_equals_the_present_one() -> None:
    assert converted("published") == tiny_published_config(FrontEnd.RHYTHM)


def test_a_bundle_of_format_1_streams_as_one_of_format_2(tmp_path: Path) -> None:
    old = {**FORMAT_1["starter"], "vocabulary": load_config(DEFAULT_BUNDLE).vocabulary}
    shutil.copy(DEFAULT_BUNDLE / WEIGHTS_FILE, tmp_path)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(old), encoding="utf-8")
    poses = []
    for folder in (tmp_path, DEFAULT_BUNDLE):
        stream = GestureStream(load_bundle(folder))
        stream.feed_audio(babble(0.5))
        poses.append(concatenate(stream.drain()).rotations)
    np.testing.assert_array_equal(*poses)


def test_format_2_is_not_changed() -> None:
    mapping = to_mapping(load_config(DEFAULT_BUNDLE))
    assert to_format_2(mapping) == mapping


def test_moved_values_join_their_table_in_any_order() -> None:
    mapping = {"global_zeroed": ["contact"], "global_motion": {"channels": 61}}
    assert to_format_2(mapping) == {
        "root_model": {"channels": 61, "masked_fields": ["contact"]},
    }


def test_a_value_in_place_of_a_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="root_model: expected an object, got 3"):
        to_format_2({"global_zeroed": [], "global_motion": 3})
    damaged = {**FORMAT_1["starter"], "global_motion": 3}
    (tmp_path / CONFIG_FILE).write_text(json.dumps(damaged), encoding="utf-8")
    with pytest.raises(BundleError, match=r"bundle\.json: root_model: expected an object"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("choices", {"face": 3}, r"code_selection\.face: expected one of"),
        ("choices", [], "code_selection: expected an object"),
        ("seed_motion", ["raw"], "seed_root: expected one of"),
        ("colour", 1, "unknown key 'colour'"),
        ("gesture", None, "gesture: expected an object"),
    ],
)
def test_damage_is_named(key: str, value: Any, message: str) -> None:
    mapping = {**FORMAT_1["starter"], key: value}
    del mapping["format"]
    with pytest.raises(ConfigError, match=message):
        from_mapping(BundleConfig, to_format_2(mapping))
