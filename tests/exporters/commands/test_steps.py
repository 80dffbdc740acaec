"""Hops as one graph for the kernels that record, in pieces for all others."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.bundle.io import Bundle
from engine.config.model import FrontEnd
from engine.errors import KernelError, MissingBackendError
from engine.generate.schedule import Schedule, published_audio_schedule
from engine.generate.step import HopStep, StagedStep, StepOutput
from engine.kernels.cached_step import CachedEncoderStep
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.kernels.fused_step import CompiledStep
from engine.kernels.graph import Graph, Precision, Run, Settings
from engine.model.types import Kernel
from engine.motion.pose import concatenate
from engine.stream.stream import GestureStream
from exporters.commands import steps
from exporters.commands.kernels import spared
from exporters.commands.steps import (
    hop_calls,
    in_rows,
    median_s,
    ready_step,
    real_hops,
)
from tests.engine.kernels.test_encoder_cache import noting
from tests.engine.kernels.test_fused_step import Plain, Taped
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Refusing(Plain):
    """Makes the graph of a window, and refuses all that is larger."""

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        if graph.name.startswith("step"):
            raise KernelError("cudagraph cannot record step: not permitted")
        return super().prepare(graph, settings)


def ready(monkeypatch: pytest.MonkeyPatch, backend: Plain | Taped) -> tuple[HopStep, list[str]]:
    """What `--kernel cudagraph` gives where its backend is another one."""
    backend.name = "cudagraph"
    for module in ("engine.kernels.registry", "exporters.commands.kernels", steps.__name__):
        monkeypatch.setattr(f"{module}.backend", lambda name: backend)
    bundle, told = tiny_bundle(), list[str]()
    return ready_step("cudagraph", bundle, bundle.config.schedule, told.append), told


def moved(step: HopStep | None, bundle: Bundle | None = None) -> np.ndarray:
    bundle = bundle or tiny_bundle()
    stream = GestureStream(bundle, step=step)
    stream.feed_audio(babble(1.0))
    return concatenate(stream.flush()).rotations


def test_a_kernel_that_records_takes_whole_hops(monkeypatch: pytest.MonkeyPatch) -> None:
    step, told = ready(monkeypatch, Taped())
    assert isinstance(step, CompiledStep)
    assert step.name == "cudagraph"
    spare = spared(step, tiny_bundle())
    assert not list(spare.gesture.parameters())
    np.testing.assert_allclose(moved(step, spare), moved(None), atol=1e-4)
    assert told == []


def test_where_the_whole_is_refused_there_are_two_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = Refusing()
    step, told = ready(monkeypatch, refusing)
    assert isinstance(step, StagedStep)
    assert step.name == "cudagraph"
    assert [graph.name for graph in refusing.graphs] == ["window-newest2", "decode-last4"]
    assert told == [
        "note: cudagraph cannot record step: not permitted; hops are computed in pieces"
    ]
    np.testing.assert_allclose(moved(step), moved(None), atol=1e-4)


def test_a_hop_that_does_not_match_is_said_with_the_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, told = ready(
        monkeypatch, Plain(lambda i, x: (x + 1) % 24 if x.dtype == torch.int64 else x)
    )
    assert isinstance(step, StagedStep)
    assert "codes 0.0% equal" in told[0]


def test_other_kernels_and_whole_files_are_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[str]()
    monkeypatch.setattr(steps, "make_step", lambda *_: made.append("step"))
    bundle, published = tiny_bundle(), tiny_published_bundle(FrontEnd.WAVE)
    step = ready_step("eager", bundle, bundle.config.schedule, made.append)
    assert isinstance(step, StagedStep)
    monkeypatch.setattr(steps, "made_kernel", lambda *_: EagerKernel(published.gesture))
    step = ready_step("cudagraph", published, published.config.file_schedule, made.append)
    assert isinstance(step, StagedStep)
    assert made == []


def test_a_missing_library_falls_back_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Kernel:
        raise MissingBackendError("get it by pip install x")

    monkeypatch.setattr("exporters.commands.kernels.make_kernel", missing)
    monkeypatch.setattr(steps, "make_step", missing)
    bundle = tiny_bundle()
    for name in ("onnx", "openvino"):
        told = list[str]()
        step = ready_step(name, bundle, bundle.config.schedule, told.append)
        assert step.name == "eager"
        assert told == ["note: get it by pip install x; running eager"]


class Shelf:
    """HopStep that compute as eager does; counts how often each was made."""

    def __init__(self, refused: str = "", missing: str = "") -> None:
        self.made: list[str] = []
        self.refused, self.missing = refused, missing

    def __call__(self, name: str, bundle: Bundle, *_: object) -> HopStep:
        if name == self.refused:
            raise KernelError("refused")
        if name == self.missing:
            raise MissingBackendError(f"{name} is not installed")
        self.made.append(name)
        kernel = EagerKernel(bundle.gesture, bundle.config.schedule.newest)
        kernel.name = name
        return staged_step(bundle, kernel=kernel)


def automatic(monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> tuple[str, list[str]]:
    """The kernel that `auto` takes where each hop takes as long as is said here."""
    times = {"eager": 3.0, "onnx": 2.0, "openvino": 1.0}
    monkeypatch.setattr(steps, "made_step", shelf)
    monkeypatch.setattr(steps, "hop_calls", lambda step, *_: step.name)
    monkeypatch.setattr(steps, "median_s", lambda name, **_: times.get(name, 9.0))
    bundle, told = tiny_bundle(), list[str]()
    return ready_step("auto", bundle, bundle.config.schedule, told.append).name, told


def test_auto_takes_the_fastest_hop_and_tries_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Shelf(), Shelf()
    assert automatic(monkeypatch, first)[0] == "openvino"
    assert first.made == ["eager", "cudagraph", "openvino"]
    assert automatic(monkeypatch, second)[0] == "openvino"
    assert second.made == ["openvino"]


def test_auto_passes_over_what_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    name, told = automatic(monkeypatch, Shelf(refused="openvino", missing="cudagraph"))
    assert name == "onnx"
    assert told[0].startswith("kernel auto: timing a hop by each kernel, once")
    assert told[1:] == [
        "kernel auto: onnx (eager 3000.0 ms, onnx 2000.0 ms a hop); not timed: cudagraph (is not "
        "installed); openvino (refused); openvino-bf16 (gains nothing for a small network)"
    ]


def test_auto_says_what_its_time_did_not_suffice_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_BUDGET_S", -1.0)
    name, told = automatic(monkeypatch, Shelf())
    assert name == "eager"
    assert "cudagraph, openvino, onnx (-1 s were over)" in told[1]


def test_auto_says_its_choice_at_every_start(monkeypatch: pytest.MonkeyPatch) -> None:
    first = automatic(monkeypatch, Shelf(missing="cudagraph"))[1]
    assert first[1:] == automatic(monkeypatch, Shelf())[1]
    assert first[1].startswith("kernel auto: openvino (eager 3000.0 ms, openvino 1000.0 ms a hop)")
    assert "cudagraph (is not installed)" in first[1]


def test_auto_computes_whole_files_as_their_programs_do(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, bundle = Shelf(), tiny_bundle()
    monkeypatch.setattr(steps, "made_step", shelf)
    schedule = published_audio_schedule()
    assert ready_step("auto", bundle, schedule, print).name == "eager"
    assert shelf.made == ["eager"]


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
def test_auto_times_only_what_may_win(
    monkeypatch: pytest.MonkeyPatch, name: str, times: dict[str, float], small: bool, timed: bool
) -> None:
    monkeypatch.setattr(steps, "is_small", lambda network: small)
    assert (steps._not_worth_timing(name, times, tiny_bundle()) == "") is timed


def test_what_auto_chose_before_and_does_not_run_is_chosen_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    automatic(monkeypatch, Shelf())
    name, told = automatic(monkeypatch, Shelf(refused="openvino"))
    assert name == "onnx"
    assert told[0] == "kernel openvino, chosen earlier, does not run any more; choosing again"


def test_auto_takes_no_coarse_kernel_that_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_unseen", lambda kernel, *_: kernel.name != "openvino")
    assert automatic(monkeypatch, Shelf())[0] == "onnx"


@pytest.mark.parametrize("name", ["eager", pytest.param("onnx", marks=pytest.mark.onnx)])
def test_hops_are_timed_as_they_are_computed(name: str) -> None:
    bundle = tiny_bundle()
    step = ready_step(name, bundle, bundle.config.schedule, lambda text: None)
    first, second = hop_calls(step, bundle, bundle.config.schedule)
    stepped, other = first(), second()
    assert isinstance(stepped, StepOutput)
    assert isinstance(other, StepOutput)
    assert stepped.codes.shape == (1, 4, bundle.config.schedule.newest)
    assert not torch.equal(stepped.decoded.rotations, other.decoded.rotations)
    assert median_s([first, second]) > 0


def test_auto_finds_something_here() -> None:
    bundle, told = tiny_bundle(), list[str]()
    step = ready_step("auto", bundle, bundle.config.schedule, told.append)
    assert any(line.startswith("kernel auto: ") for line in told)
    np.testing.assert_allclose(moved(step), moved(None), atol=1e-3)


@pytest.mark.openvino
def test_openvino_computes_whole_hops() -> None:
    bundle, told = tiny_bundle(), list[str]()
    step = ready_step("openvino", bundle, bundle.config.schedule, told.append)
    assert isinstance(step, CompiledStep)
    assert told == ["converting step-newest2 for openvino ..."]
    np.testing.assert_allclose(moved(step), moved(None), atol=1e-3)


def hearing_bundle() -> Bundle:
    """Windows of samples as long as those of a published checkpoint."""
    bundle = tiny_published_bundle(FrontEnd.WAVE)
    schedule = Schedule(window=64, seed=60, hop=2)
    return dataclasses.replace(bundle, config=dataclasses.replace(bundle.config, schedule=schedule))


@pytest.mark.openvino
def test_whole_hops_of_openvino_hear_nothing_twice() -> None:
    bundle, told = hearing_bundle(), list[str]()
    step = ready_step("openvino", bundle, bundle.config.schedule, told.append)
    assert isinstance(step, CachedEncoderStep)
    assert [line.split()[1] for line in told] == ["hearing", "step-newest2"]
    np.testing.assert_allclose(moved(step, bundle), moved(None, bundle), atol=1e-3)


@pytest.mark.nncf
@pytest.mark.slow
def test_whole_hops_in_8_bits_are_calibrated_on_speech() -> None:
    bundle, told = tiny_bundle(), list[str]()
    step = ready_step("openvino-int8", bundle, bundle.config.schedule, told.append)
    assert isinstance(step, CompiledStep)
    assert "quantising step-newest2 on 96 windows ..." in told
    # Few codes of a random network are another one in 8 bits.
    assert np.mean(np.abs(moved(step) - moved(None)) < 0.2) > 0.98


@pytest.mark.onnx
def test_hops_that_are_timed_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = hearing_bundle()
    step = ready_step("onnx", bundle, bundle.config.schedule, lambda _: None)
    noted = noting(monkeypatch)
    median_s(hop_calls(step, bundle, bundle.config.schedule))
    assert noted == [False] + [True] * (len(noted) - 1)
    assert len(noted) > 10


def test_real_hops_are_those_of_a_stream() -> None:
    bundle = tiny_bundle()
    hops = real_hops(bundle, bundle.config.schedule, 3)
    assert len(hops) == 3
    assert not torch.equal(hops[0].history, hops[2].history)
    noise = hops[0].noise
    assert noise is not None
    assert noise.shape == (1, 4, 2, 24)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_hops_of_batches_have_other_rows(temperature: float) -> None:
    bundle = tiny_bundle(temperature=temperature)
    hops = real_hops(bundle, bundle.config.schedule, 3)
    batches = in_rows(hops, 2)
    assert len(batches) == 3
    for ours, first, second in zip(batches[2].flat, hops[2].flat, hops[0].flat, strict=True):
        assert torch.equal(ours, torch.cat((first, second)))


def test_half_precision_is_let_in_too(monkeypatch: pytest.MonkeyPatch) -> None:
    step, told = ready(monkeypatch, Taped(Precision.FP16))
    assert isinstance(step, CompiledStep)
    assert told == []
