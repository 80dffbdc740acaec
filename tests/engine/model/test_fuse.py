import dataclasses

import pytest
import torch
from torch import nn

from engine.model import fuse as lean_module
from engine.model.audio_encoder import WaveBlock
from engine.model.builders import build_gesture_model
from engine.model.fuse import FusedAttention, FusedWaveBlock, fuse_for_inference
from engine.model.gesture import GestureModel
from engine.model.layers import Attention
from engine.model.types import WindowOutputs
from tests.engine.model.test_gesture import CONFIGS, model, window

PERIOD = 64


def with_trained_statistics(name: str) -> GestureModel:
    """A model with random batch-norm statistics and biases, as after training."""
    network = model(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def max_difference(a: WindowOutputs, b: WindowOutputs) -> float:
    pairs = zip((*a.latents, *a.logits), (*b.latents, *b.logits), strict=True)
    return max(float((x - y).abs().max()) for x, y in pairs)


@pytest.fixture(params=[0, lean_module.MIN_SAVED_MACS])
def _worth(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 0, small networks use the same fusions as large ones."""
    monkeypatch.setattr(lean_module, "MIN_SAVED_MACS", request.param)


@pytest.mark.usefixtures("_worth")
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("newest", [None, 2])
@pytest.mark.parametrize("frames", [12, PERIOD])
def test_the_fused_model_equals_the_original(name: str, newest: int | None, frames: int) -> None:
    network, inputs = with_trained_statistics(name), window(CONFIGS[name], frames)
    with torch.inference_mode():
        expected, actual = (
            network(inputs, newest=newest),
            fuse_for_inference(network)(inputs, newest=newest),
        )
    assert max_difference(expected, actual) < 1e-5 * max(
        float(x.abs().max()) for x in expected.logits
    )


@pytest.mark.parametrize("name", ["audio", "text"])
def test_fusion_does_not_change_the_model(name: str) -> None:
    network, inputs = with_trained_statistics(name), window(CONFIGS[name])
    with torch.inference_mode():
        names, before = set(network.state_dict()), network(inputs)
        fused = fuse_for_inference(network)
        assert set(network.state_dict()) == names
        assert max_difference(network(inputs), before) == 0.0
    shared = {p.data_ptr() for p in network.parameters()} & {
        p.data_ptr() for p in fused.parameters()
    }
    assert len(shared) > 0.7 * len(list(network.parameters()))


@pytest.mark.usefixtures("_worth")
@pytest.mark.parametrize("layers", [1, 3])
def test_the_precomputed_face_query_depends_on_the_speaker(layers: int) -> None:
    config = dataclasses.replace(CONFIGS["audio"], face_layers=layers)
    torch.manual_seed(0)
    network, inputs = build_gesture_model(config).eval(), window(config, PERIOD, batch=3)
    fused = fuse_for_inference(network)
    with torch.inference_mode():
        expected = network(inputs).latents[0]
        torch.testing.assert_close(fused(inputs).latents[0], expected, atol=1e-5, rtol=1e-5)
        newest = fused(inputs, newest=2).latents[0]
        torch.testing.assert_close(newest, expected[:, -2:], atol=1e-5, rtol=1e-5)
    assert fused.face.first_output.shape[0] == config.speakers == 3


@pytest.mark.parametrize(("queries", "few"), [(1, True), (2, True), (40, False)])
@pytest.mark.parametrize("narrow", [None, 6])
def test_fused_attention_equals_attention_for_few_and_many_queries(
    queries: int, few: bool, narrow: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lean_module, "MIN_SAVED_MACS", 0)
    torch.manual_seed(0)
    attention = Attention(16, 4, 0.0).eval()
    torch.nn.init.normal_(attention.in_proj.bias)
    widen = None if narrow is None else nn.Linear(narrow, 16)
    with torch.no_grad():
        fused = FusedAttention(attention, widen)
        x, memory = torch.randn(3, queries, 16), torch.randn(3, 40, narrow or 16)
        expected = attention(x, memory if widen is None else widen(memory))
        torch.testing.assert_close(fused(x, memory), expected, atol=1e-5, rtol=1e-5)
    assert fused._query_side_is_cheaper(queries, 40) is few


@pytest.mark.parametrize(("width", "queries", "calls"), [(256, 2, 0), (256, 80, 1), (16, 2, 1)])
def test_few_wide_queries_leave_keys_and_values_unprojected(
    width: int, queries: int, calls: int
) -> None:
    torch.manual_seed(0)
    fused = FusedAttention(Attention(width, 4, 0.0).eval())
    called: list[int] = []
    fused.key_value.register_forward_hook(lambda *_: called.append(1))
    with torch.no_grad():
        fused(torch.randn(1, queries, width), torch.randn(1, 80, width))
    assert len(called) == calls


@pytest.mark.parametrize(("channels", "stride", "padding"), [(1, 5, 160), (8, 1, 7), (4, 6, 0)])
def test_a_fused_wave_block_equals_the_original(channels: int, stride: int, padding: int) -> None:
    torch.manual_seed(0)
    block = WaveBlock(channels, 8, stride, padding).eval()
    for norm in (block.bn1, block.bn2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    with torch.no_grad():
        x = torch.randn(2, channels, 200)
        original = x.clone()
        torch.testing.assert_close(FusedWaveBlock(block)(x), block(x), atol=1e-5, rtol=1e-5)
        assert torch.equal(x, original)
