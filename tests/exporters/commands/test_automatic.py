"""What `auto` takes and remembers."""

import json
from pathlib import Path

import pytest

from exporters.commands import automatic
from exporters.commands.automatic import chosen_before, fastest, remember
from tests.models import tiny_bundle

TIMES = {"eager": 3.0, "onnx": 2.0, "openvino": 1.0}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def kept(told: list[str]) -> str:
    bundle = tiny_bundle()
    return remember(bundle, bundle.config.schedule, TIMES, told.append)


def before(hop: int = 2) -> str | None:
    bundle = tiny_bundle(hop=hop)
    return chosen_before(bundle, bundle.config.schedule)


@pytest.mark.parametrize(
    ("times", "best"),
    [
        (TIMES, "openvino"),
        ({"eager": 1.0, "onnx": 0.97}, "eager"),  # not worth another library
        ({"eager": 1.0, "onnx": 0.9}, "onnx"),
        ({"eager": 1.0}, "eager"),
    ],
)
def test_the_fastest_is_chosen_where_it_gains_anything(times: dict[str, float], best: str) -> None:
    assert fastest(times) == best


def test_what_is_chosen_is_said_and_remembered_for_this_model_and_schedule() -> None:
    told = list[str]()
    assert before() is None
    assert kept(told) == "openvino"
    assert told == [
        "kernel auto: openvino (eager 3000.0 ms, onnx 2000.0 ms, openvino 1000.0 ms a hop)"
    ]
    assert before() == "openvino"
    assert before(hop=4) is None


def test_another_machine_tries_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    kept([])
    monkeypatch.setattr(automatic, "machine", lambda: "another one")
    assert before() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kernel": "warp"}', '{"kernel": 3}'])
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    kept([])
    (path,) = tmp_path.rglob("auto_*.json")
    assert json.loads(path.read_text())["kernel"] == "openvino"
    path.write_text(text)
    assert before() is None


def test_where_nothing_can_be_kept_it_is_chosen_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kept([]) == "openvino"
    assert before() is None
