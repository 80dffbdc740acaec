"""Decoding as a graph: the same frames, for the live hops alone, and let in by parity."""

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


class Plain:
    """A backend that runs the graph as it is, and counts."""

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
def test_a_stream_that_decodes_by_a_graph_moves_the_same(causal: bool) -> None:
    bundle, plain = tiny_bundle(causal=causal, temperature=0.0), Plain()
    ready = compile_decoder(pose_decoder(bundle), plain, BuildOptions(), SCHEDULE)
    before = plain.calls
    chunks = []
    for decoder in (None, ready):
        stream = GestureStream(
            bundle, schedule=SCHEDULE, step=staged_step(bundle, SCHEDULE, decoder=decoder)
        )
        stream.feed_audio(babble(1.0))
        chunks.append(concatenate(stream.flush()))
    assert plain.calls - before == 15
    np.testing.assert_allclose(chunks[0].rotations, chunks[1].rotations, atol=1e-4)
    np.testing.assert_allclose(chunks[0].translation, chunks[1].translation, atol=1e-4)


def test_stretches_of_other_lengths_are_decoded_as_ever() -> None:
    decoder, plain = pose_decoder(tiny_bundle()), Plain()
    ready: CompiledDecoder = compile_decoder(decoder, plain, BuildOptions(), SCHEDULE)
    before = plain.calls
    kept = decoder.context + 1
    for frames, rows, last in ((30, 1, 30), (kept + 2, 2, 4), (kept, 1, 2)):
        expected = decoder.decode(codes(frames, rows), last)
        got = ready.decode(codes(frames, rows), last)
        assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))
    assert plain.calls == before
    ready.decode(codes(decoder.context + 1 + SCHEDULE.hop), SEAM_FRAMES + SCHEDULE.hop)
    assert plain.calls == before + 1


def test_a_graph_that_decodes_otherwise_is_refused() -> None:
    with pytest.raises(ParityError, match=r"the pose decoder of .* same codes 0\.0\d+ apart"):
        compile_decoder(
            pose_decoder(tiny_bundle()), Plain(lambda x: x * 1.01), BuildOptions(), SCHEDULE
        )


def test_a_rotation_may_come_as_its_negative() -> None:
    def negated(tensor: Tensor) -> Tensor:
        return -tensor if tensor.shape[-1] == 4 and tensor.dim() == 4 else tensor

    ready = compile_decoder(pose_decoder(tiny_bundle()), Plain(negated), BuildOptions(), SCHEDULE)
    assert isinstance(ready, CompiledDecoder)


@pytest.mark.openvino
def test_openvino_decodes_the_same(tmp_path: Path) -> None:
    decoder = pose_decoder(tiny_bundle(causal=False))
    options = BuildOptions(folder=tmp_path)
    ready = compile_decoder(decoder, backend("openvino"), options, SCHEDULE)
    shown = codes(decoder.context + 1 + SCHEDULE.hop)
    expected, got = decoder.decode(shown, 4), ready.decode(shown, 4)
    for name, a, b in zip(Decoded._fields, expected, got, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3, msg=name)


class Stale(Plain):
    """A backend that takes what it finds in its folder, right or wrong."""

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        kept = options.cache_path(graph, "old")
        wrong = kept is not None and kept.exists()
        return Plain((lambda x: x + 1.0) if wrong else (lambda x: x)).prepare(graph, options)


def test_what_was_kept_of_another_decoder_is_made_anew(tmp_path: Path) -> None:
    decoder, options = pose_decoder(tiny_bundle()), BuildOptions(folder=tmp_path)
    newest = SCHEDULE.algorithmic_frames
    name = f"decode-last{SEAM_FRAMES + newest}_1x4x{decoder.context + 1 + newest}_old"
    (tmp_path / name).touch()
    ready = compile_decoder(decoder, Stale(), options, SCHEDULE)
    shown = codes(decoder.context + 1 + newest)
    torch.testing.assert_close(ready.decode(shown, 4).face, decoder.decode(shown, 4).face)
    assert not (tmp_path / name).exists()
