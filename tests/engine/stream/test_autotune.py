"""Automatic kernel choice: timing, rules and the cached result."""

from pathlib import Path

import pytest
import torch

from engine.errors import KernelError, MissingBackendError
from engine.generate.schedule import published_audio_schedule
from engine.generate.step import HopStep, StepOutput
from engine.kernels.build_target import BuildTarget
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.stream import autotune
from engine.stream.autotune import (
    Choice,
    benchmark_calls,
    choose,
    fastest,
    load_choice,
    median_s,
    save_choice,
)
from engine.stream.select_step import step_for
from engine.system import cache
from tests.engine.kernels.test_encoder_cache import cache_hits
from tests.support.build_targets import target_of, waveform_bundle
from tests.support.tiny_bundle import tiny_bundle

TIMES = {"eager": 3.0, "onnx": 2.0, "openvino": 1.0}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


CHOICE = choose(TIMES, {"openvino-bf16": "20 s were over"})


def save(lines: list[str]) -> None:
    bundle = tiny_bundle()
    save_choice(target_of(bundle, log=lines.append), CHOICE)


def load(hop: int = 2) -> Choice | None:
    bundle = tiny_bundle(hop=hop)
    return load_choice(target_of(bundle))


@pytest.mark.parametrize(
    ("times", "best"),
    [
        (TIMES, "openvino"),
        ({"eager": 1.0, "onnx": 0.97}, "eager"),  # gain too small
        ({"eager": 1.0, "onnx": 0.9}, "onnx"),
        ({"eager": 1.0}, "eager"),
    ],
)
def test_the_fastest_kernel_is_chosen_if_the_gain_is_significant(
    times: dict[str, float], best: str
) -> None:
    assert fastest(times) == best


def test_the_choice_is_cached_per_model_and_schedule() -> None:
    assert load() is None
    save([])
    assert load() == CHOICE
    assert load(hop=4) is None


def test_the_report_has_all_times_and_reasons_for_untimed_kernels() -> None:
    untried = {"cudagraph": "needs a GPU", "onnx": "20 s were over", "int8": "20 s were over"}
    assert choose({"eager": 0.003, "openvino": 0.001}, untried).line == (
        "kernel auto: openvino (eager 3.0 ms, openvino 1.0 ms a hop); "
        "not timed: cudagraph (needs a GPU); onnx, int8 (20 s were over)"
    )
    assert choose({"eager": 0.003}, {}).line == "kernel auto: eager (eager 3.0 ms a hop)"


def test_another_machine_chooses_again(monkeypatch: pytest.MonkeyPatch) -> None:
    save([])
    monkeypatch.setattr(autotune, "machine", lambda: "another one")
    assert load() is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"kernel": "warp", "ms": {}, "untried": {}}', '{"kernel": 3}']
)
def test_a_damaged_choice_counts_as_missing(tmp_path: Path, text: str) -> None:
    save([])
    (path,) = tmp_path.rglob("auto_*.json")
    path.write_text(text)
    assert load() is None
    cache.write(path, text.encode(), print)  # intact, but not a choice
    assert load() is None


def test_an_unwritable_cache_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    lines = list[str]()
    save(lines)
    save(lines)
    assert load() is None
    assert len(lines) == 1
    assert lines[0].startswith("note: nothing can be kept in ")


class FakeBuilder:
    """Builds eager steps under any kernel name; records the names, and fails for two of them."""

    def __init__(self, refused: str = "", missing: str = "") -> None:
        self.built: list[str] = []
        self.refused, self.missing = refused, missing

    def __call__(self, name: str, target: BuildTarget) -> HopStep:
        bundle = target.bundle
        if name == self.refused:
            raise KernelError("refused")
        if name == self.missing:
            raise MissingBackendError(f"{name} is not installed")
        self.built.append(name)
        kernel = EagerKernel(bundle.gesture, bundle.config.schedule.newest)
        kernel.name = name
        return staged_step(bundle, kernel=kernel)


def run_auto(monkeypatch: pytest.MonkeyPatch, builder: FakeBuilder) -> tuple[str, list[str]]:
    """Kernel chosen by `auto` with fixed hop times, and the log lines."""
    times = {"eager": 3.0, "onnx": 2.0, "openvino": 1.0}
    monkeypatch.setattr(autotune, "build_step", builder)
    monkeypatch.setattr(autotune, "benchmark_calls", lambda step, *_: step.name)
    monkeypatch.setattr(autotune, "median_s", lambda name, **_: times.get(name, 9.0))
    bundle, lines = tiny_bundle(), list[str]()
    return step_for("auto", target_of(bundle, log=lines.append)).name, lines


def test_auto_chooses_the_fastest_and_times_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = FakeBuilder(), FakeBuilder()
    assert run_auto(monkeypatch, first)[0] == "openvino"
    assert first.built == ["eager", "cudagraph", "openvino"]
    assert run_auto(monkeypatch, second)[0] == "openvino"
    assert second.built == ["openvino"]


def test_auto_skips_kernels_that_do_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    name, lines = run_auto(monkeypatch, FakeBuilder(refused="openvino", missing="cudagraph"))
    assert name == "onnx"
    assert lines[0].startswith("kernel auto: timing a hop by each kernel, once")
    assert lines[1:] == [
        "kernel auto: onnx (eager 3000.0 ms, onnx 2000.0 ms a hop); not timed: cudagraph (is not "
        "installed); openvino (refused); openvino-bf16 (gains nothing for a small network)"
    ]


def test_auto_names_kernels_beyond_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "_BUDGET_S", -1.0)
    name, lines = run_auto(monkeypatch, FakeBuilder())
    assert name == "eager"
    assert "cudagraph, openvino, onnx (-1 s were over)" in lines[1]


def test_auto_logs_its_choice_at_every_start(monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_auto(monkeypatch, FakeBuilder(missing="cudagraph"))[1]
    assert first[1:] == run_auto(monkeypatch, FakeBuilder())[1]
    assert first[1].startswith("kernel auto: openvino (eager 3000.0 ms, openvino 1000.0 ms a hop)")
    assert "cudagraph (is not installed)" in first[1]


def test_auto_uses_eager_for_whole_files(monkeypatch: pytest.MonkeyPatch) -> None:
    builder, bundle = FakeBuilder(), tiny_bundle()
    monkeypatch.setattr(autotune, "build_step", builder)
    schedule = published_audio_schedule()
    assert step_for("auto", target_of(bundle, schedule)).name == "eager"
    assert builder.built == ["eager"]


@pytest.mark.parametrize(
    ("name", "times", "small", "timed"),
    [
        ("onnx", {"eager": 1.0}, True, True),
        ("onnx", {"eager": 1.0, "openvino": 2.0}, True, False),
        ("openvino-bf16", {"eager": 1.0}, True, False),
        ("openvino-bf16", {"eager": 1.0}, False, True),
        ("openvino", {"eager": 1.0}, True, True),
    ],
)
def test_auto_times_only_kernels_that_may_be_faster(
    monkeypatch: pytest.MonkeyPatch, name: str, times: dict[str, float], small: bool, timed: bool
) -> None:
    monkeypatch.setattr(autotune, "is_small", lambda network: small)
    assert (autotune._not_worth_timing(name, times, tiny_bundle()) == "") is timed


def test_a_cached_choice_that_does_not_run_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_auto(monkeypatch, FakeBuilder())
    name, lines = run_auto(monkeypatch, FakeBuilder(refused="openvino"))
    assert name == "onnx"
    assert lines[0] == "kernel openvino, chosen before, does not run now; choosing again"


def test_auto_rejects_inaccurate_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        autotune, "is_accurate_enough", lambda kernel, *_: kernel.name != "openvino"
    )
    assert run_auto(monkeypatch, FakeBuilder())[0] == "onnx"


@pytest.mark.parametrize("name", ["eager", pytest.param("onnx", marks=pytest.mark.onnx)])
def test_benchmark_calls_compute_live_hops(name: str) -> None:
    bundle = tiny_bundle()
    step = step_for(name, target_of(bundle))
    first, second = benchmark_calls(step, target_of(bundle))
    stepped, other = first(), second()
    assert isinstance(stepped, StepOutput)
    assert isinstance(other, StepOutput)
    assert stepped.codes.shape == (1, 4, bundle.config.schedule.newest)
    assert not torch.equal(stepped.decoded.rotations, other.decoded.rotations)
    assert median_s([first, second]) > 0


@pytest.mark.onnx
def test_timed_hops_use_the_encoder_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = waveform_bundle()
    step = step_for("onnx", target_of(bundle))
    hits = cache_hits(monkeypatch)
    median_s(benchmark_calls(step, target_of(bundle)))
    assert hits == [False] + [True] * (len(hits) - 1)
    assert len(hits) > 10
