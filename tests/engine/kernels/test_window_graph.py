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


def test_the_graph_equals_the_model() -> None:
    model = tiny_bundle().gesture
    graph = window_graph(model, SHAPE)
    outputs = graph.module(*graph.example)
    expected = EagerKernel(model, newest=2)(WindowInputs(*graph.example))
    assert len(outputs) == len(graph.outputs) == len(OUTPUTS)
    for actual, expected_output in zip(outputs, (*expected.latents, *expected.logits), strict=True):
        torch.testing.assert_close(actual, expected_output)


def test_the_name_contains_the_number_of_output_frames() -> None:
    model = tiny_bundle().gesture
    assert window_graph(model, SHAPE).name == "window-newest2"


def test_the_last_speech_keys_of_the_face_are_not_int8_safe() -> None:
    model = fuse_for_inference(tiny_published_bundle(FrontEnd.WAVE).gesture)
    graph = window_graph(model, SHAPE)
    names = [f"__module.{name}/" for name, _ in graph.module.named_modules(remove_duplicate=False)]

    def int8_safe(end: str) -> tuple[list[str], list[str]]:
        ends = [name for name in names if ".face." in name and name.endswith(end)]
        return [n for n in ends if any(re.search(p, n) for p in graph.int8_layers)], ends

    cross, candidates = int8_safe("cross_attn.key_value/")
    assert cross == candidates[:-1]
    assert len(candidates) > 1
    own, candidates = int8_safe("self_attn.attention.in_proj/")
    assert own == candidates


def test_random_windows_differ_and_resemble_live_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    one, two = draw_window(SHAPE, generator), draw_window(SHAPE, generator)
    assert not torch.equal(one.motion, two.motion)
    assert not torch.equal(one.audio, two.audio)
    visible = (one.mask == 0).all(-1)[0]
    assert bool(visible[0])
    assert not bool(visible[-1])


def test_windows_of_other_lengths_use_the_fallback_kernel() -> None:
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
