"""What `auto` takes and remembers."""

from pathlib import Path

import pytest

from engine.system import cache
from exporters.commands import automatic
from exporters.commands.automatic import Choice, chosen, fastest, remember, remembered
from tests.support.tiny_bundle import tiny_bundle

TIMES = {"eager": 3.0, "onnx": 2.0, "openvino": 1.0}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


CHOICE = chosen(TIMES, {"openvino-bf16": "20 s were over"})


def keep(told: list[str]) -> None:
    bundle = tiny_bundle()
    remember(bundle, bundle.config.schedule, CHOICE, told.append)


def before(hop: int = 2) -> Choice | None:
    bundle = tiny_bundle(hop=hop)
    return remembered(bundle, bundle.config.schedule)


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


def test_what_is_chosen_is_remembered_for_this_model_and_schedule() -> None:
    assert before() is None
    keep([])
    assert before() == CHOICE
    assert before(hop=4) is None


def test_the_line_has_all_times_and_why_others_were_not_timed() -> None:
    untried = {"cudagraph": "needs a GPU", "onnx": "20 s were over", "int8": "20 s were over"}
    assert chosen({"eager": 0.003, "openvino": 0.001}, untried).line == (
        "kernel auto: openvino (eager 3.0 ms, openvino 1.0 ms a hop); "
        "not timed: cudagraph (needs a GPU); onnx, int8 (20 s were over)"
    )
    assert chosen({"eager": 0.003}, {}).line == "kernel auto: eager (eager 3.0 ms a hop)"


def test_another_machine_tries_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    keep([])
    monkeypatch.setattr(automatic, "machine", lambda: "another one")
    assert before() is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"kernel": "warp", "ms": {}, "untried": {}}', '{"kernel": 3}']
)
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    keep([])
    (path,) = tmp_path.rglob("auto_*.json")
    path.write_text(text)
    assert before() is None
    cache.write(path, text.encode(), print)  # whole, and yet nothing that was chosen
    assert before() is None


def test_where_nothing_can_be_kept_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    told = list[str]()
    keep(told)
    keep(told)
    assert before() is None
    assert len(told) == 1
    assert told[0].startswith("note: nothing can be kept in ")
