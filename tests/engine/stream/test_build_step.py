"""Fused steps for kernels that are faster with them, staged steps for all others."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.bundle.io import Bundle
from engine.config.model import FrontEnd
from engine.errors import BundleError, KernelError
from engine.generate.schedule import Schedule
from engine.generate.step import HopStep, StagedStep
from engine.kernels.cached_step import CachedEncoderStep
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.kernels.fused_step import CompiledStep
from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.motion.pose import concatenate
from engine.stream import build_step
from engine.stream.build_step import drop_network_weights
from engine.stream.select_step import step_for
from engine.stream.stream import GestureStream
from tests.engine.kernels.test_fused_step import CapturingBackend, CountingBackend
from tests.support.audio import babble
from tests.support.build_targets import target_of, waveform_bundle
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class RefusesFusedSteps(CountingBackend):
    """Builds window and decoder graphs, and refuses fused steps."""

    def prepare(self, graph: GraphSpec, settings: BuildOptions) -> Executable:
        if graph.name.startswith("step"):
            raise KernelError("cudagraph cannot record step: not permitted")
        return super().prepare(graph, settings)


def build_cudagraph_step(
    monkeypatch: pytest.MonkeyPatch, backend: CountingBackend | CapturingBackend
) -> tuple[HopStep, list[str]]:
    """Step and log lines of kernel `cudagraph` with its backend replaced."""
    backend.name = "cudagraph"
    for name in ("engine.kernels.registry", build_step.__name__):
        monkeypatch.setattr(f"{name}.backend", lambda name: backend)
    bundle, lines = tiny_bundle(), list[str]()
    return step_for("cudagraph", target_of(bundle, log=lines.append)), lines


def rotations_of(step: HopStep | None, bundle: Bundle | None = None) -> np.ndarray:
    bundle = bundle or tiny_bundle()
    stream = GestureStream(bundle, step=step)
    stream.feed_audio(babble(1.0))
    return concatenate(stream.flush()).rotations


def test_cudagraph_uses_fused_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    step, lines = build_cudagraph_step(monkeypatch, CapturingBackend())
    assert isinstance(step, CompiledStep)
    assert step.name == "cudagraph"
    spare = drop_network_weights(step, tiny_bundle())
    assert not list(spare.gesture.parameters())
    np.testing.assert_allclose(rotations_of(step, spare), rotations_of(None), atol=1e-4)
    assert lines == []


def test_a_refused_fused_step_falls_back_to_two_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = RefusesFusedSteps()
    step, lines = build_cudagraph_step(monkeypatch, backend)
    assert isinstance(step, StagedStep)
    assert step.name == "cudagraph"
    assert [graph.name for graph in backend.graphs] == ["window-newest2", "decode-last4"]
    assert lines == [
        "note: cudagraph cannot record step: not permitted; falling back to separate "
        "transformer and decoder graphs"
    ]
    np.testing.assert_allclose(rotations_of(step), rotations_of(None), atol=1e-4)


def test_a_mismatch_is_reported_with_its_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, lines = build_cudagraph_step(
        monkeypatch, CountingBackend(lambda i, x: (x + 1) % 24 if x.dtype == torch.int64 else x)
    )
    assert isinstance(step, StagedStep)
    assert "codes 0.0% equal" in lines[0]


def test_eager_and_whole_files_use_staged_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[str]()
    monkeypatch.setattr(build_step, "fused_step", lambda *_: calls.append("step"))
    bundle, published = tiny_bundle(), tiny_published_bundle(FrontEnd.WAVE)
    step = step_for("eager", target_of(bundle, log=calls.append))
    assert isinstance(step, StagedStep)
    monkeypatch.setattr(build_step, "make_kernel", lambda *_: EagerKernel(published.gesture))
    step = step_for("cudagraph", target_of(published, published.config.file_schedule, calls.append))
    assert isinstance(step, StagedStep)
    assert calls == []


@pytest.mark.openvino
def test_openvino_uses_fused_steps() -> None:
    bundle, lines = tiny_bundle(), list[str]()
    step = step_for("openvino", target_of(bundle, log=lines.append))
    assert isinstance(step, CompiledStep)
    assert lines == ["converting step-newest2 for openvino ..."]
    np.testing.assert_allclose(rotations_of(step), rotations_of(None), atol=1e-3)


@pytest.mark.openvino
def test_openvino_caches_encoder_activations() -> None:
    bundle, lines = waveform_bundle(), list[str]()
    step = step_for("openvino", target_of(bundle, log=lines.append))
    assert isinstance(step, CachedEncoderStep)
    assert [line.split()[1] for line in lines] == ["encoder-stem", "step-newest2"]
    np.testing.assert_allclose(rotations_of(step, bundle), rotations_of(None, bundle), atol=1e-3)


@pytest.mark.nncf
@pytest.mark.slow
def test_fused_int8_steps_are_calibrated_on_speech() -> None:
    bundle, lines = tiny_bundle(), list[str]()
    step = step_for("openvino-int8", target_of(bundle, log=lines.append))
    assert isinstance(step, CompiledStep)
    assert "quantising step-newest2 on 96 windows ..." in lines
    # int8 changes few codes of a random network
    assert np.mean(np.abs(rotations_of(step) - rotations_of(None)) < 0.2) > 0.98


def test_half_precision_is_verified_too(monkeypatch: pytest.MonkeyPatch) -> None:
    step, lines = build_cudagraph_step(monkeypatch, CapturingBackend(Precision.FP16))
    assert isinstance(step, CompiledStep)
    assert lines == []


def test_dropped_network_weights_are_freed() -> None:
    class WrappedKernel:
        name = "taken"

        def __init__(self, inner: Kernel) -> None:
            self._inner = inner

        def __call__(self, inputs: WindowInputs) -> WindowOutputs:
            return self._inner(inputs)

    bundle = tiny_bundle()
    eager = EagerKernel(bundle.gesture, bundle.config.schedule.newest)
    assert drop_network_weights(staged_step(bundle, kernel=eager), bundle) is bundle
    step = staged_step(bundle, kernel=WrappedKernel(eager))
    without_weights = drop_network_weights(step, bundle)
    network = weakref.ref(bundle.gesture)
    with pytest.raises(BundleError, match="moved to a kernel"):
        without_weights.gesture(None)
    sound = babble(1.0)

    def first(given: Bundle, by: HopStep) -> np.ndarray:
        stream = GestureStream(given, step=by)
        stream.feed_audio(sound)
        chunk = stream.next_chunk()
        assert chunk is not None
        return chunk.rotations

    np.testing.assert_array_equal(first(without_weights, step), first(bundle, step))
    del bundle, eager, step
    gc.collect()
    assert network() is None


@pytest.mark.onnx
def test_separate_graphs_cache_encoder_activations_where_possible() -> None:
    bundle, lines = waveform_bundle(), list[str]()
    step = build_step.build_step("onnx", target_of(bundle, log=lines.append))
    assert isinstance(step, CachedEncoderStep)
    assert step.name == "onnx"
    assert [name for text in lines for name in ("encoder-stem", "window") if name in text]
    for schedule in (Schedule(window=64, seed=32, hop=32), bundle.config.file_schedule):
        other = build_step.build_step("onnx", target_of(bundle, schedule))
        assert isinstance(other, StagedStep)
