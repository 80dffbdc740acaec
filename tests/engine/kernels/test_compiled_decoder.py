"""The compiled pose decoder gives the same frames, is used for live hops only, and is verified."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.generate.decoder import SEAM_FRAMES, Decoded
from engine.generate.schedule import Schedule
from engine.kernels.compiled_decoder import CompiledDecoder, compile_decoder
from engine.kernels.from_bundle import pose_decoder, staged_step
from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.kernels.parity import ParityError
from engine.kernels.registry import backend
from engine.motion.pose import concatenate
from engine.stream.stream import GestureStream
from tests.support.audio import babble
from tests.support.tiny_bundle import tiny_bundle

SCHEDULE = Schedule(window=24, seed=16, hop=2)


class CountingBackend:
    """A backend that runs the graph without compilation, changes its outputs and counts calls."""

    name = "plain"
    precision = Precision.FP32

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> None:
        self.calls = 0
        self._change = change

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        def run(tensors: Tensors) -> Tensors:
            self.calls += 1
            with torch.no_grad():
                return tuple(self._change(tensor.clone()) for tensor in graph.module(*tensors))

        return run


def codes(frames: int, rows: int = 1) -> Tensor:
    return torch.randint(0, 24, (rows, 4, frames), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("causal", [True, False])
def test_compiled_decoding_does_not_change_the_motion(causal: bool) -> None:
    bundle, counting = tiny_bundle(causal=causal, temperature=0.0), CountingBackend()
    compiled = compile_decoder(pose_decoder(bundle), counting, BuildOptions(), SCHEDULE)
    before = counting.calls
    chunks = []
    for decoder in (None, compiled):
        stream = GestureStream(
            bundle, schedule=SCHEDULE, step=staged_step(bundle, SCHEDULE, decoder=decoder)
        )
        stream.feed_audio(babble(1.0))
        chunks.append(concatenate(stream.flush()))
    assert counting.calls - before == 15
    np.testing.assert_allclose(chunks[0].rotations, chunks[1].rotations, atol=1e-4)
    np.testing.assert_allclose(chunks[0].translation, chunks[1].translation, atol=1e-4)


def test_sequences_of_other_lengths_are_decoded_eagerly() -> None:
    decoder, counting = pose_decoder(tiny_bundle()), CountingBackend()
    compiled: CompiledDecoder = compile_decoder(decoder, counting, BuildOptions(), SCHEDULE)
    before = counting.calls
    length = decoder.context + 1
    for frames, rows, last in ((30, 1, 30), (length + 2, 2, 4), (length, 1, 2)):
        expected = decoder.decode(codes(frames, rows), last)
        actual = compiled.decode(codes(frames, rows), last)
        assert all(torch.equal(a, b) for a, b in zip(expected, actual, strict=True))
    assert counting.calls == before
    compiled.decode(codes(decoder.context + 1 + SCHEDULE.hop), SEAM_FRAMES + SCHEDULE.hop)
    assert counting.calls == before + 1


def test_a_graph_with_other_poses_is_refused() -> None:
    with pytest.raises(ParityError, match=r"the pose decoder of .* same codes 0\.0\d+ apart"):
        compile_decoder(
            pose_decoder(tiny_bundle()),
            CountingBackend(lambda x: x * 1.01),
            BuildOptions(),
            SCHEDULE,
        )


def test_negated_quaternions_pass_parity() -> None:
    def negated(tensor: Tensor) -> Tensor:
        return -tensor if tensor.shape[-1] == 4 and tensor.dim() == 4 else tensor

    compiled = compile_decoder(
        pose_decoder(tiny_bundle()), CountingBackend(negated), BuildOptions(), SCHEDULE
    )
    assert isinstance(compiled, CompiledDecoder)


@pytest.mark.openvino
def test_openvino_decodes_the_same_poses(tmp_path: Path) -> None:
    decoder = pose_decoder(tiny_bundle(causal=False))
    options = BuildOptions(folder=tmp_path)
    compiled = compile_decoder(decoder, backend("openvino"), options, SCHEDULE)
    inputs = codes(decoder.context + 1 + SCHEDULE.hop)
    expected, actual = decoder.decode(inputs, 4), compiled.decode(inputs, 4)
    for name, a, b in zip(Decoded._fields, expected, actual, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3, msg=name)


class OffsetIfCached(CountingBackend):
    """A backend that adds 1 to the outputs if its cache file exists."""

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        path = options.cache_path(graph, "old")
        cached = path is not None and path.exists()
        return CountingBackend((lambda x: x + 1.0) if cached else (lambda x: x)).prepare(
            graph, options
        )


def test_the_cached_graph_of_another_decoder_is_rebuilt(tmp_path: Path) -> None:
    decoder, options = pose_decoder(tiny_bundle()), BuildOptions(folder=tmp_path)
    newest = SCHEDULE.algorithmic_frames
    name = f"decode-last{SEAM_FRAMES + newest}_1x4x{decoder.context + 1 + newest}_old"
    (tmp_path / name).touch()
    compiled = compile_decoder(decoder, OffsetIfCached(), options, SCHEDULE)
    inputs = codes(decoder.context + 1 + newest)
    torch.testing.assert_close(compiled.decode(inputs, 4).face, decoder.decode(inputs, 4).face)
    assert not (tmp_path / name).exists()
