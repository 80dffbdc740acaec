"""A fused hop gives the same frames as a staged one, can be captured, and is verified."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.bundle.io import Bundle, new_bundle
from engine.config.model import QuantizerKind
from engine.errors import KernelError, ShapeError
from engine.generate.sampling import CodeSelection, SamplingConfig
from engine.generate.schedule import Schedule
from engine.generate.state import EncoderState
from engine.generate.step import NoiseSource, StepOutput
from engine.kernels.cudagraph import CudaGraphModule
from engine.kernels.from_bundle import fused_module
from engine.kernels.fused_step import (
    BucketedStep,
    CompiledStep,
    FusedStepOutput,
    HopInputs,
    compile_step,
)
from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.kernels.parity import ParityError
from engine.kernels.window_graph import WindowShape
from engine.motion.pose import concatenate
from engine.motion.skeleton import BodyPart
from engine.stream.pool import StreamPool
from engine.stream.stream import GestureStream
from engine.timing import Stage, StageTimings, no_timer
from tests.support.audio import babble
from tests.support.graphs import SHAPE, cached_error
from tests.support.tape import Tape, record
from tests.support.tiny_bundle import tiny_bundle

SCHEDULE = Schedule(window=24, seed=16, hop=2)
EVERY_LATENT = dict.fromkeys(BodyPart, CodeSelection.NEAREST_LATENT)


def variant(
    sampling: SamplingConfig | None = None,
    choices: dict[BodyPart, CodeSelection] | None = None,
    *,
    mixed_quantizers: bool = False,
    causal: bool = True,
) -> Bundle:
    """The tiny bundle with other code selection.

    mixed_quantizers: a residual quantiser of three stages for one part and FSQ for another.
    """
    tiny = tiny_bundle(causal=causal)
    config = dataclasses.replace(tiny.config, sampling=sampling or tiny.config.sampling)
    if choices is not None:
        config = dataclasses.replace(config, code_selection=choices)
    if not mixed_quantizers:
        return dataclasses.replace(tiny, config=config)
    parts = dict(config.parts)
    upper, hands = parts[BodyPart.UPPER], parts[BodyPart.HANDS]
    parts[BodyPart.UPPER] = dataclasses.replace(upper, quantizer=QuantizerKind.RESIDUAL, stages=3)
    fsq = {"quantizer": QuantizerKind.FSQ, "levels": (4, 3, 2)}
    parts[BodyPart.HANDS] = dataclasses.replace(hands, **fsq)  # type: ignore[arg-type]
    torch.manual_seed(0)
    return new_bundle(dataclasses.replace(config, parts=parts))


BUNDLES: dict[str, Callable[[], Bundle]] = {
    "likeliest": lambda: variant(SamplingConfig()),
    "sampled": lambda: variant(SamplingConfig(0.7)),
    "sampled near by": lambda: variant(SamplingConfig(0.7, mean_shift_radius=2.0), causal=False),
    "latents": lambda: variant(SamplingConfig(0.7), EVERY_LATENT),
    "several codebooks": lambda: variant(
        SamplingConfig(0.7, mean_shift_radius=1.5), mixed_quantizers=True
    ),
}


class CountingBackend:
    """A backend that runs the graph in inference mode without compilation, and counts calls.

    change: replaces each output, from its index and value.
    """

    name = "plain"
    precision = Precision.FP32

    def __init__(self, change: Callable[[int, Tensor], Tensor] = lambda i, tensor: tensor) -> None:
        self.calls = 0
        self.graphs: list[GraphSpec] = []
        self._change = change

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        self.graphs.append(graph)

        def run(tensors: Tensors) -> Tensors:
            self.calls += 1
            with torch.inference_mode():
                outputs = graph.module(*tensors)
            return tuple(self._change(i, tensor) for i, tensor in enumerate(outputs))

        return run


class CapturingBackend:
    """A backend that captures and replays the graph, as CUDA graphs do."""

    def __init__(self, precision: Precision = Precision.FP32) -> None:
        self.name, self.precision = "taped", precision

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        return CudaGraphModule(graph, torch.device("cpu"), self.precision, record)


def shape(rows: int = 1) -> WindowShape:
    return dataclasses.replace(SHAPE, rows=rows)


def step_of(
    bundle: Bundle, backend: CountingBackend | CapturingBackend, rows: int = 1
) -> CompiledStep:
    return compile_step(fused_module(bundle, SCHEDULE), shape(rows), backend, BuildOptions())


def draw_hop(bundle: Bundle, rows: int, seed: int) -> HopInputs:
    generator = torch.Generator().manual_seed(seed)
    return fused_module(bundle, SCHEDULE).draw(shape(rows), generator)


def as_noise_source(noise: Tensor | None) -> NoiseSource:
    return lambda: noise


def tensors_of(stepped: StepOutput) -> Tensors:
    return (stepped.codes, *stepped.decoded)


@pytest.mark.parametrize("kind", BUNDLES)
def test_fused_and_staged_hops_are_bit_exact(kind: str) -> None:
    network = fused_module(BUNDLES[kind](), SCHEDULE).eval()
    pieces = network.staged()
    for seed in range(3):
        window, history, noise = inputs = draw_hop(BUNDLES[kind](), 3, seed)
        assert (noise is not None) == (kind != "likeliest")
        expected = pieces(window, history, as_noise_source(noise), no_timer, EncoderState.empty(1))
        with torch.inference_mode():
            actual = FusedStepOutput.of(network(*inputs.flat))
        for actual_output, expected_output in zip(
            (actual.codes, *actual.decoded), tensors_of(expected), strict=True
        ):
            assert torch.equal(actual_output, expected_output)


@pytest.mark.parametrize("kind", BUNDLES)
def test_streams_with_a_fused_step_are_bit_exact(kind: str) -> None:
    bundle, plain, chunks = BUNDLES[kind](), CountingBackend(), []
    step = step_of(bundle, plain)
    before = plain.calls
    for used in (None, step):
        stream = GestureStream(bundle, schedule=SCHEDULE, step=used, seed=5)
        stream.feed_audio(babble(1.0))
        chunks.append(concatenate(stream.flush()))
    assert plain.calls - before == 15
    for name in ("rotations", "translation", "face", "contacts"):
        np.testing.assert_array_equal(getattr(chunks[0], name), getattr(chunks[1], name))


@pytest.mark.parametrize("kind", BUNDLES)
def test_captured_hops_equal_staged_hops(kind: str) -> None:
    """No value is read by the host, no shape depends on a value, every input is copied."""
    bundle = BUNDLES[kind]()
    step = step_of(bundle, CapturingBackend(), rows=2)
    pieces = fused_module(bundle, SCHEDULE).eval().staged()
    results = []
    for seed in range(3):
        window, history, noise = draw_hop(bundle, 2, seed)
        expected = pieces(window, history, as_noise_source(noise), no_timer, EncoderState.empty(1))
        actual = step(window, history, as_noise_source(noise), no_timer, EncoderState.empty(1))
        assert torch.equal(expected.codes, actual.codes)
        results.append((tensors_of(expected), tensors_of(actual)))
    for expected, actual in results:  # after all replays: none may overwrite earlier outputs
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def test_half_precision_is_limited_to_the_transformer() -> None:
    step = step_of(tiny_bundle(), CapturingBackend(Precision.FP16))
    window, history, noise = draw_hop(tiny_bundle(), 1, 3)
    codes, decoded = step(window, history, as_noise_source(noise), no_timer, EncoderState.empty(1))
    assert codes.dtype == torch.int64
    expected = fused_module(tiny_bundle(), SCHEDULE).decoder.decode(
        torch.cat((history, codes), 2), 4
    )
    torch.testing.assert_close(decoded, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["sampled", "latents", "several codebooks"])
def test_all_tensors_are_on_the_device_of_the_inputs(kind: str) -> None:
    """Uses the meta device, which has no values to read."""
    bundle = BUNDLES[kind]()
    bundle = dataclasses.replace(
        bundle, config=dataclasses.replace(bundle.config, sampling=SamplingConfig(0.7))
    )
    network = copy.deepcopy(fused_module(bundle, SCHEDULE).eval()).to("meta")
    inputs = [tensor.to("meta") for tensor in draw_hop(bundle, 2, 0).flat]
    with torch.no_grad(), Tape() as tape:
        outputs = network(*inputs)
    assert len(tape.calls) > 100
    assert {output.device.type for output in outputs} == {"meta"}


def test_a_mismatch_is_refused_with_its_errors() -> None:
    def other_codes(i: int, tensor: Tensor) -> Tensor:
        return (tensor + 1) % 24 if i == 0 else tensor

    def other_poses(i: int, tensor: Tensor) -> Tensor:
        return tensor * 1.01 if i == 3 else tensor

    def other_latents(i: int, tensor: Tensor) -> Tensor:
        return tensor * 1.01 if i == 1 else tensor

    def no_codes(i: int, tensor: Tensor) -> Tensor:
        return tensor - 100 if i == 0 else tensor

    with pytest.raises(ParityError, match=r"one graph of plain .* codes 0\.0% equal"):
        step_of(tiny_bundle(), CountingBackend(other_codes))
    with pytest.raises(ParityError, match=r"codes 100\.0% equal .* 0\.01 apart \(at most 0\.001\)"):
        step_of(tiny_bundle(), CountingBackend(other_poses))
    with pytest.raises(ParityError, match=r"values 0\.01 apart \(at most 0\.001 for .* 100\.0%"):
        step_of(tiny_bundle(), CountingBackend(other_latents))
    with pytest.raises(ParityError, match=r"codes 0\.0% equal .* inf apart"):
        step_of(tiny_bundle(), CountingBackend(no_codes))


def test_a_graph_replaying_stale_inputs_fails_parity() -> None:
    class StaleInput(CapturingBackend):
        def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
            run = super().prepare(graph, options)
            return lambda tensors: run((*tensors[:5], graph.example[5], *tensors[6:]))

    with pytest.raises(ParityError, match="poses of the same codes"):
        step_of(tiny_bundle(), StaleInput())


def test_recorded_inputs_are_compared_too() -> None:
    """The fault appears with the recorded input only."""
    recorded = draw_hop(tiny_bundle(), 1, 9)
    recorded.window.motion[:] = 7.0

    class WrongForRecorded(CountingBackend):
        def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
            run = super().prepare(graph, options)
            return lambda x: tuple(
                y + 1 if i and float(x[0].min()) == 7.0 else y for i, y in enumerate(run(x))
            )

    network = fused_module(tiny_bundle(), SCHEDULE)
    compile_step(network, shape(), WrongForRecorded(), BuildOptions())
    with pytest.raises(ParityError):
        compile_step(network, shape(), WrongForRecorded(), BuildOptions(), lambda: [recorded])
    wrong = dataclasses.replace(shape(), newest=4)
    with pytest.raises(ShapeError, match="takes 2 newest frames, windows 4"):
        compile_step(network, wrong, CountingBackend(), BuildOptions())


def test_int8_calibration_and_parity_use_different_recorded_inputs() -> None:
    recorded = [draw_hop(tiny_bundle(), 1, seed) for seed in range(8)]

    compared = list[Tensor]()

    class Int8Backend(CountingBackend):
        precision = Precision.INT8

        def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
            run = super().prepare(graph, options)
            return lambda tensors: (compared.append(tensors[0]), run(tensors))[1]

    plain = Int8Backend()
    compile_step(
        fused_module(tiny_bundle(), SCHEDULE), shape(), plain, BuildOptions(), lambda: recorded
    )
    motions = [id(hop.window.motion) for hop in recorded]
    calibrated = [motions.index(id(sample[0])) for sample in plain.graphs[0].samples()]
    assert calibrated == [0, 2, 3, 4, 6, 7]
    assert {motions.index(id(motion)) for motion in compared} == {1, 5}


def test_hops_of_other_shapes_are_refused() -> None:
    bundle = tiny_bundle()
    step = step_of(bundle, CountingBackend())
    window, history, noise = draw_hop(bundle, 2, 0)
    with pytest.raises(ShapeError, match=r"made for \[\[1, 24, 337\].* got \[\[2, 24, 337\]"):
        step(window, history, as_noise_source(noise), no_timer, EncoderState.empty(1))
    window, history, noise = draw_hop(bundle, 1, 0)
    with pytest.raises(ShapeError, match="make one for these"):
        step(window, history, as_noise_source(None), no_timer, EncoderState.empty(1))


def test_only_separable_stages_are_timed() -> None:
    ticks = iter(range(1000))
    timings = StageTimings(lambda: float(next(ticks)))
    stream = GestureStream(
        tiny_bundle(), schedule=SCHEDULE, step=step_of(tiny_bundle(), CountingBackend())
    )
    stream.set_timer(timings.watch)
    stream.feed_audio(babble(0.5))
    stream.drain()
    found = timings.summary()
    assert found[Stage.DECODE] is None
    assert all(found[stage] is not None for stage in (Stage.CHOOSE, Stage.KERNEL, Stage.EMIT))


def test_batches_are_padded_to_the_next_size() -> None:
    bundle = tiny_bundle()
    sizes = {rows: step_of(bundle, CountingBackend(), rows) for rows in (1, 3)}
    padded, pieces = BucketedStep(sizes), fused_module(bundle, SCHEDULE).eval().staged()
    for rows in (1, 2, 3):
        window, history, noise = draw_hop(bundle, rows, rows)
        actual, expected = (
            s(window, history, as_noise_source(noise), no_timer, EncoderState.empty(1))
            for s in (padded, pieces)
        )
        torch.testing.assert_close(tensors_of(actual), tensors_of(expected), atol=1e-5, rtol=1e-4)
    with pytest.raises(KernelError, match="up to 3 rows, not 4"):
        padded(*draw_hop(bundle, 4, 0)[:2], lambda: None, no_timer, EncoderState.empty(1))


def test_a_pool_can_use_fused_steps() -> None:
    bundle, plain = tiny_bundle(), CountingBackend()
    graphs = BucketedStep({rows: step_of(bundle, plain, rows) for rows in (1, 2)})
    calls, found = plain.calls, []
    for step in (None, graphs):
        pool = StreamPool(bundle, 2, schedule=SCHEDULE, step=step)
        for seed in range(2):
            pool.feed_audio(pool.open(seed=seed), babble(0.4, seed=seed))
        found.append([pool.step([0]), pool.step(), pool.step()])
    assert plain.calls == calls + 3
    for actual_output, expected_output in zip(*found, strict=True):
        assert actual_output.keys() == expected_output.keys()
        for slot in actual_output:
            np.testing.assert_allclose(
                actual_output[slot].rotations, expected_output[slot].rotations, atol=1e-4
            )


class CachedErrorBackend(CountingBackend):
    """A backend that adds the number in its cache file to the outputs."""

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        error = cached_error(graph, options)
        self._change = lambda _, tensor: tensor + error if tensor.is_floating_point() else tensor
        return super().prepare(graph, options)


def test_verified_graphs_are_checked_briefly(tmp_path: Path) -> None:
    network, options = (
        fused_module(tiny_bundle(), SCHEDULE),
        BuildOptions(1, tmp_path, machine="here"),
    )
    recordings, calls = list[int](), list[int]()

    def recorded() -> list[HopInputs]:
        recordings.append(1)
        return [draw_hop(tiny_bundle(), 1, 3)]

    def build() -> None:
        backend = CachedErrorBackend()
        compile_step(network, shape(), backend, options, recorded)
        calls.append(backend.calls)

    build()
    build()
    assert len(recordings) == 1
    assert calls[1] < calls[0] / 2
    (path,) = tmp_path.glob("*_error")
    path.write_text("1000.0")  # differs from the verified file
    build()
    assert path.read_text() == "0.0"
    assert len(recordings) == 3  # once for the mismatch, once for the rebuilt graph
    build()
    assert len(recordings) == 3
