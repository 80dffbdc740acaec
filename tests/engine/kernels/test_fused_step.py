"""A whole hop as one graph: the same frames as in pieces, recorded and let in by parity."""

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
from engine.kernels.cudagraph import Recorded
from engine.kernels.from_bundle import step_network
from engine.kernels.fused_step import BucketedStep, CompiledStep, HopInputs, Outcome, graph_step
from engine.kernels.graph import Graph, Precision, Run, Settings, Tensors
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


def varied(
    sampling: SamplingConfig | None = None,
    choices: dict[BodyPart, CodeSelection] | None = None,
    *,
    several: bool = False,
    causal: bool = True,
) -> Bundle:
    """The tiny bundle with another choice of codes; several: one part of three codebooks, one of
    none.
    """
    tiny = tiny_bundle(causal=causal)
    config = dataclasses.replace(tiny.config, sampling=sampling or tiny.config.sampling)
    if choices is not None:
        config = dataclasses.replace(config, code_selection=choices)
    if not several:
        return dataclasses.replace(tiny, config=config)
    parts = dict(config.parts)
    upper, hands = parts[BodyPart.UPPER], parts[BodyPart.HANDS]
    parts[BodyPart.UPPER] = dataclasses.replace(upper, quantizer=QuantizerKind.RESIDUAL, stages=3)
    fsq = {"quantizer": QuantizerKind.FSQ, "levels": (4, 3, 2)}
    parts[BodyPart.HANDS] = dataclasses.replace(hands, **fsq)  # type: ignore[arg-type]
    torch.manual_seed(0)
    return new_bundle(dataclasses.replace(config, parts=parts))


BUNDLES: dict[str, Callable[[], Bundle]] = {
    "likeliest": lambda: varied(SamplingConfig()),
    "sampled": lambda: varied(SamplingConfig(0.7)),
    "sampled near by": lambda: varied(SamplingConfig(0.7, mean_shift_radius=2.0), causal=False),
    "latents": lambda: varied(SamplingConfig(0.7), EVERY_LATENT),
    "several codebooks": lambda: varied(SamplingConfig(0.7, mean_shift_radius=1.5), several=True),
}


class Plain:
    """A backend that runs the graph as it is, in the mode of the eager kernel, and counts.

    change: of the outputs, by position and value.
    """

    name = "plain"
    precision = Precision.FP32

    def __init__(self, change: Callable[[int, Tensor], Tensor] = lambda i, tensor: tensor) -> None:
        self.calls = 0
        self.graphs: list[Graph] = []
        self._change = change

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        self.graphs.append(graph)

        def run(tensors: Tensors) -> Tensors:
            self.calls += 1
            with torch.inference_mode():
                made = graph.module(*tensors)
            return tuple(self._change(i, tensor) for i, tensor in enumerate(made))

        return run


class Taped:
    """A backend that plays back what was recorded, as a CUDA graph is."""

    def __init__(self, precision: Precision = Precision.FP32) -> None:
        self.name, self.precision = "taped", precision

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        return Recorded(graph, torch.device("cpu"), self.precision, record)


def shape(rows: int = 1) -> WindowShape:
    return dataclasses.replace(SHAPE, rows=rows)


def step_of(bundle: Bundle, backend: Plain | Taped, rows: int = 1) -> CompiledStep:
    return graph_step(step_network(bundle, SCHEDULE), shape(rows), backend, Settings())


def drawn(bundle: Bundle, rows: int, seed: int) -> HopInputs:
    generator = torch.Generator().manual_seed(seed)
    return step_network(bundle, SCHEDULE).draw(shape(rows), generator)


def given(noise: Tensor | None) -> NoiseSource:
    return lambda: noise


def tensors_of(stepped: StepOutput) -> Tensors:
    return (stepped.codes, *stepped.decoded)


@pytest.mark.parametrize("kind", BUNDLES)
def test_it_is_its_pieces_bit_for_bit(kind: str) -> None:
    network = step_network(BUNDLES[kind](), SCHEDULE).eval()
    pieces = network.pieces()
    for seed in range(3):
        window, history, noise = inputs = drawn(BUNDLES[kind](), 3, seed)
        assert (noise is not None) == (kind != "likeliest")
        expected = pieces(window, history, given(noise), no_timer, EncoderState.empty(1))
        with torch.inference_mode():
            got = Outcome.of(network(*inputs.flat))
        for ours, theirs in zip((got.codes, *got.decoded), tensors_of(expected), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_stream_moves_the_same_bit_for_bit(kind: str) -> None:
    bundle, plain, chunks = BUNDLES[kind](), Plain(), []
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
def test_recorded_and_played_back_it_gives_the_same(kind: str) -> None:
    """All of it: no value is read by the host, no shape depends on one, every input is copied."""
    bundle = BUNDLES[kind]()
    step = step_of(bundle, Taped(), rows=2)
    pieces = step_network(bundle, SCHEDULE).eval().pieces()
    results = []
    for seed in range(3):
        window, history, noise = drawn(bundle, 2, seed)
        expected = pieces(window, history, given(noise), no_timer, EncoderState.empty(1))
        got = step(window, history, given(noise), no_timer, EncoderState.empty(1))
        assert torch.equal(expected.codes, got.codes)
        results.append((tensors_of(expected), tensors_of(got)))
    for expected, got in results:  # only now: none may have been written over by a later one
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_in_half_precision_the_transformer_alone_is() -> None:
    step = step_of(tiny_bundle(), Taped(Precision.FP16))
    window, history, noise = drawn(tiny_bundle(), 1, 3)
    codes, decoded = step(window, history, given(noise), no_timer, EncoderState.empty(1))
    assert codes.dtype == torch.int64
    expected = step_network(tiny_bundle(), SCHEDULE).decoder.decode(
        torch.cat((history, codes), 2), 4
    )
    torch.testing.assert_close(decoded, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["sampled", "latents", "several codebooks"])
def test_nothing_in_it_lies_on_another_device_than_its_inputs(kind: str) -> None:
    """On the device without memory, which holds no values that could be read."""
    bundle = BUNDLES[kind]()
    bundle = dataclasses.replace(
        bundle, config=dataclasses.replace(bundle.config, sampling=SamplingConfig(0.7))
    )
    network = copy.deepcopy(step_network(bundle, SCHEDULE).eval()).to("meta")
    inputs = [tensor.to("meta") for tensor in drawn(bundle, 2, 0).flat]
    with torch.no_grad(), Tape() as tape:
        outputs = network(*inputs)
    assert len(tape.notes) > 100
    assert {output.device.type for output in outputs} == {"meta"}


def test_what_does_not_match_is_refused_with_the_figures() -> None:
    def other_codes(i: int, tensor: Tensor) -> Tensor:
        return (tensor + 1) % 24 if i == 0 else tensor

    def other_poses(i: int, tensor: Tensor) -> Tensor:
        return tensor * 1.01 if i == 3 else tensor

    def other_latents(i: int, tensor: Tensor) -> Tensor:
        return tensor * 1.01 if i == 1 else tensor

    def no_codes(i: int, tensor: Tensor) -> Tensor:
        return tensor - 100 if i == 0 else tensor

    with pytest.raises(ParityError, match=r"one graph of plain .* codes 0\.0% equal"):
        step_of(tiny_bundle(), Plain(other_codes))
    with pytest.raises(ParityError, match=r"codes 100\.0% equal .* 0\.01 apart \(at most 0\.001\)"):
        step_of(tiny_bundle(), Plain(other_poses))
    with pytest.raises(ParityError, match=r"latents 0\.01 apart \(at most 0\.001\), codes 100\.0%"):
        step_of(tiny_bundle(), Plain(other_latents))
    with pytest.raises(ParityError, match=r"codes 0\.0% equal .* inf apart"):
        step_of(tiny_bundle(), Plain(no_codes))


def test_old_inputs_played_again_are_refused() -> None:
    class Stuck(Taped):
        def prepare(self, graph: Graph, settings: Settings) -> Run:
            run = super().prepare(graph, settings)
            return lambda tensors: run((*tensors[:5], graph.example[5], *tensors[6:]))

    with pytest.raises(ParityError, match="poses of the same codes"):
        step_of(tiny_bundle(), Stuck())


def test_inputs_of_a_stream_are_compared_too() -> None:
    """A fault that only they show."""
    real = drawn(tiny_bundle(), 1, 9)
    real.window.motion[:] = 7.0

    class Odd(Plain):
        def prepare(self, graph: Graph, settings: Settings) -> Run:
            run = super().prepare(graph, settings)
            return lambda x: tuple(
                y + 1 if i and float(x[0].min()) == 7.0 else y for i, y in enumerate(run(x))
            )

    network = step_network(tiny_bundle(), SCHEDULE)
    graph_step(network, shape(), Odd(), Settings())
    with pytest.raises(ParityError):
        graph_step(network, shape(), Odd(), Settings(), lambda: [real])
    wrong = dataclasses.replace(shape(), newest=4)
    with pytest.raises(ShapeError, match="takes 2 newest frames, windows 4"):
        graph_step(network, wrong, Plain(), Settings())


def test_8_bits_are_calibrated_on_some_inputs_of_a_stream_and_compared_on_the_others() -> None:
    real = [drawn(tiny_bundle(), 1, seed) for seed in range(8)]

    shown = list[Tensor]()

    class Coarse(Plain):
        precision = Precision.INT8

        def prepare(self, graph: Graph, settings: Settings) -> Run:
            run = super().prepare(graph, settings)
            return lambda tensors: (shown.append(tensors[0]), run(tensors))[1]

    plain = Coarse()
    graph_step(step_network(tiny_bundle(), SCHEDULE), shape(), plain, Settings(), lambda: real)
    places = [id(hop.window.motion) for hop in real]
    calibrated = [places.index(id(sample[0])) for sample in plain.graphs[0].samples()]
    assert calibrated == [0, 2, 3, 4, 6, 7]
    assert {places.index(id(motion)) for motion in shown} == {1, 5}


def test_hops_of_other_shapes_are_refused() -> None:
    bundle = tiny_bundle()
    step = step_of(bundle, Plain())
    window, history, noise = drawn(bundle, 2, 0)
    with pytest.raises(ShapeError, match=r"made for \[\[1, 24, 337\].* got \[\[2, 24, 337\]"):
        step(window, history, given(noise), no_timer, EncoderState.empty(1))
    window, history, noise = drawn(bundle, 1, 0)
    with pytest.raises(ShapeError, match="make one for these"):
        step(window, history, given(None), no_timer, EncoderState.empty(1))


def test_stages_are_those_that_can_be_told_apart() -> None:
    ticks = iter(range(1000))
    timings = StageTimings(lambda: float(next(ticks)))
    stream = GestureStream(tiny_bundle(), schedule=SCHEDULE, step=step_of(tiny_bundle(), Plain()))
    stream.watch(timings.watch)
    stream.feed_audio(babble(0.5))
    stream.drain()
    found = timings.summary()
    assert found[Stage.DECODE] is None
    assert all(found[stage] is not None for stage in (Stage.CHOOSE, Stage.KERNEL, Stage.EMIT))


def test_batches_of_any_size_are_filled_up() -> None:
    bundle = tiny_bundle()
    sizes = {rows: step_of(bundle, Plain(), rows) for rows in (1, 3)}
    padded, pieces = BucketedStep(sizes), step_network(bundle, SCHEDULE).eval().pieces()
    for rows in (1, 2, 3):
        window, history, noise = drawn(bundle, rows, rows)
        got, expected = (
            s(window, history, given(noise), no_timer, EncoderState.empty(1))
            for s in (padded, pieces)
        )
        torch.testing.assert_close(tensors_of(got), tensors_of(expected), atol=1e-5, rtol=1e-4)
    with pytest.raises(KernelError, match="up to 3 rows, not 4"):
        padded(*drawn(bundle, 4, 0)[:2], lambda: None, no_timer, EncoderState.empty(1))


def test_a_pool_can_be_stepped_by_graphs() -> None:
    bundle, plain = tiny_bundle(), Plain()
    graphs = BucketedStep({rows: step_of(bundle, plain, rows) for rows in (1, 2)})
    calls, found = plain.calls, []
    for step in (None, graphs):
        pool = StreamPool(bundle, 2, schedule=SCHEDULE, step=step)
        for seed in range(2):
            pool.feed_audio(pool.open(seed=seed), babble(0.4, seed=seed))
        found.append([pool.step([0]), pool.step(), pool.step()])
    assert plain.calls == calls + 3
    for ours, theirs in zip(*found, strict=True):
        assert ours.keys() == theirs.keys()
        for slot in ours:
            np.testing.assert_allclose(ours[slot].rotations, theirs[slot].rotations, atol=1e-4)


class Keeping(Plain):
    """Keeps a file, and is off by what stands in it."""

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        error = cached_error(graph, settings)
        self._change = lambda _, tensor: tensor + error if tensor.is_floating_point() else tensor
        return super().prepare(graph, settings)


def test_what_matched_here_before_is_looked_at_for_a_moment_only(tmp_path: Path) -> None:
    network, settings = step_network(tiny_bundle(), SCHEDULE), Settings(1, tmp_path, machine="here")
    asked, calls = list[int](), list[int]()

    def real() -> list[HopInputs]:
        asked.append(1)
        return [drawn(tiny_bundle(), 1, 3)]

    def made() -> None:
        backend = Keeping()
        graph_step(network, shape(), backend, settings, real)
        calls.append(backend.calls)

    made()
    made()
    assert len(asked) == 1
    assert calls[1] < calls[0] / 2
    (path,) = tmp_path.glob("*_error")
    path.write_text("1000.0")  # another file than the one that matched
    made()
    assert path.read_text() == "0.0"
    assert len(asked) == 3  # it did not match, and what was made anew was compared again
    made()
    assert len(asked) == 3
