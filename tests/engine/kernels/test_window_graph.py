import re

import pytest
import torch

from engine.config.model import FrontEnd
from engine.errors import ShapeError
from engine.kernels.eager import EagerKernel
from engine.kernels.graph import Tensors
from engine.kernels.window_graph import OUTPUTS, CompiledKernel, draw_window, window_graph
from engine.model.fuse import fuse_for_inference
from engine.model.types import WindowInputs
from tests.support.graphs import SHAPE
from tests.support.tiny_bundle import tiny_bundle, tiny_published_bundle


def test_the_graph_is_the_model_unpacked() -> None:
    model = tiny_bundle().gesture
    graph = window_graph(model, SHAPE)
    found = graph.module(*graph.example)
    expected = EagerKernel(model, newest=2)(WindowInputs(*graph.example))
    assert len(found) == len(graph.outputs) == len(OUTPUTS)
    for got, wanted in zip(found, (*expected.latents, *expected.logits), strict=True):
        torch.testing.assert_close(got, wanted)


def test_graphs_that_give_other_frames_have_other_names() -> None:
    model = tiny_bundle().gesture
    assert window_graph(model, SHAPE).name == "window-newest2"


def test_what_the_face_finds_of_speech_at_last_does_not_bear_8_bits() -> None:
    model = fuse_for_inference(tiny_published_bundle(FrontEnd.WAVE).gesture)
    graph = window_graph(model, SHAPE)
    names = [f"__module.{name}/" for name, _ in graph.module.named_modules(remove_duplicate=False)]

    def bearing(end: str) -> tuple[list[str], list[str]]:
        ends = [name for name in names if ".face." in name and name.endswith(end)]
        return [n for n in ends if any(re.search(p, n) for p in graph.int8_layers)], ends

    heard, every = bearing("cross_attn.key_value/")
    assert heard == every[:-1]
    assert len(every) > 1
    attended, every = bearing("self_attn.attention.in_proj/")
    assert attended == every


def test_drawn_windows_differ_and_look_like_live_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    one, two = draw_window(SHAPE, generator), draw_window(SHAPE, generator)
    assert not torch.equal(one.motion, two.motion)
    assert not torch.equal(one.audio, two.audio)
    seen = (one.mask == 0).all(-1)[0]
    assert bool(seen[0])
    assert not bool(seen[-1])


def test_windows_of_another_length_go_to_the_other_kernel() -> None:
    model = tiny_bundle().gesture
    graph = window_graph(model, SHAPE)

    def run(tensors: Tensors) -> Tensors:
        return tuple(torch.zeros(1) for _ in OUTPUTS)

    kernel = CompiledKernel("zeros", run, graph, EagerKernel(model))
    assert kernel(WindowInputs(*graph.example)).logits[3].shape == (1,)
    motion, mask, audio, words, speaker = graph.example
    short = WindowInputs(motion[:, :8], mask[:, :8], audio[:, :8], words[:, :8], speaker)
    assert kernel(short).logits[0].shape == (1, 8, 24)
    with pytest.raises(ShapeError, match="kernel zeros was made for inputs of"):
        CompiledKernel("zeros", run, graph, None)(short)
