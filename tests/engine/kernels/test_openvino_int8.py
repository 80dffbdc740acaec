import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.kernels.graph import BuildOptions, GraphSpec, Precision
from engine.kernels.openvino import OpenVinoBackend
from engine.kernels.openvino_int8 import ignored_ops
from engine.kernels.parity import relative_error


class FakeOp:
    def __init__(self, name: str) -> None:
        self.name = name

    def get_friendly_name(self) -> str:
        return self.name


class FakeModel:
    def get_ops(self) -> list[FakeOp]:
        module = "__module.model"
        return [
            FakeOp(f"{module}.motion.embed/aten::linear/MatMul"),
            FakeOp(f"{module}.body.cross_attention.layers.0.cross_attn/aten::linear/MatMul_1"),
            FakeOp(f"{module}.body.cross_attention.layers.0.cross_attn/aten::matmul/MatMul"),
            FakeOp(f"{module}.face.first.feed_forward.linear1/aten::linear/MatMul_1"),
            FakeOp(f"{module}.face.first.cross_attn/aten::linear/MatMul"),
            FakeOp(f"{module}.body.refiners.0.decoder.layers.0.self_attn/aten::linear/MatMul"),
            FakeOp(f"{module}.speech.face.audio.blocks.0.conv1/aten::_convolution/Convolution"),
            FakeOp(f"{module}.classifiers.0.first/aten::linear/MatMul"),
            FakeOp("Add_1"),
        ]


def test_int8_is_limited_to_int8_safe_layers() -> None:
    found = ignored_ops(FakeModel(), (r"cross_attention", r"feed_forward", r"blocks"))
    assert len(found) == 6
    assert not any("aten::linear/MatMul_1" in name or "Convolution" in name for name in found)


class SmallAttention(nn.Module):
    """Attention with layers in int8 (`robust`), bfloat16 (`self_attn`) and fp32 (`out`)."""

    def __init__(self) -> None:
        super().__init__()
        self.tolerant, self.self_attn, self.out = (nn.Linear(16, n) for n in (16, 32, 16))
        self.convolve = nn.Conv1d(16, 16, 3, 2, 1)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor]:
        frames = self.convolve(frames.transpose(1, 2)).transpose(1, 2)
        queries, keys = self.self_attn(self.tolerant(frames)).chunk(2, -1)
        return (self.out((queries @ keys.transpose(1, 2)).softmax(-1) @ frames),)


@pytest.mark.bfloat16
@pytest.mark.nncf
@pytest.mark.slow
def test_excluded_layers_may_run_in_bfloat16(tmp_path: Path) -> None:
    import openvino

    torch.manual_seed(0)
    samples = [(torch.randn(1, 16, 16),) for _ in range(6)]
    module = SmallAttention().eval()
    graph = GraphSpec(
        "attending", module, samples[0], ("frames",), ("seen",), lambda: samples, ("tolerant",)
    )
    options, backend = BuildOptions(folder=tmp_path), OpenVinoBackend(Precision.INT8)
    (plain,) = backend.prepare(graph, options)(samples[0])
    options.clear_cache(graph)
    mixed = dataclasses.replace(graph, bf16_layers=("_attn", "tolerant", "convolve"))
    (actual,) = backend.prepare(mixed, options)(samples[0])
    with torch.no_grad():
        (expected,) = module(*samples[0])
    assert 0 < relative_error(plain, actual) < 0.02
    assert relative_error(expected, actual) < 0.1
    model = backend.model(openvino, mixed, options)
    converted = [
        op
        for op in model.get_ops()
        if op.get_type_name() == "Convert" and op.get_element_type() == openvino.Type.bf16
    ]
    assert len(converted) == 2, "only the excluded layers"


class FewQueries(nn.Module):
    """Linear layers: two on the same two frames (`few`, `also`), two on all frames."""

    def __init__(self) -> None:
        super().__init__()
        self.tolerant, self.few, self.also, self.many = (nn.Linear(64, 64) for _ in range(4))

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.tolerant(frames)
        last = features[:, -2:].tanh()
        return self.few(last), self.also(last), self.many(features)


@pytest.mark.nncf
@pytest.mark.slow
def test_small_batch_layers_use_weight_only_int8(tmp_path: Path) -> None:
    import openvino

    torch.manual_seed(0)
    mixed = torch.randn(8, 64)  # correlated features, as in networks
    samples = [(torch.randn(1, 8, 8) @ mixed,) for _ in range(24)]
    names = ("frames",), ("few", "also", "many")
    tolerant = ("tolerant", "few")  # a small-batch layer is weight-only even if it is int8-safe
    graph = GraphSpec(
        "few", FewQueries().eval(), samples[0], *names, lambda: samples, tolerant, ("also",)
    )
    options, backend = BuildOptions(folder=tmp_path), OpenVinoBackend(Precision.INT8)
    (frames,) = unseen = (torch.randn(1, 8, 8) @ mixed,)
    actual = backend.prepare(graph, options)(unseen)
    int8_weights = [
        op
        for op in backend.model(openvino, graph, options).get_ops()
        if op.get_type_name() == "Constant" and op.get_element_type() == openvino.Type.i8
    ]
    assert len(int8_weights) == 3, "one int8-safe layer and two small-batch ones"
    options.clear_cache(graph)
    bare = dataclasses.replace(graph, int8_layers=("tolerant",), bf16_layers=())
    plain = backend.prepare(bare, options)(unseen)
    torch.testing.assert_close(actual[2], plain[2])
    for quantised, full in zip(actual[:2], plain[:2], strict=True):
        assert 0 < relative_error(full, quantised) < 0.004
    with torch.no_grad():
        expected = graph.module(frames)
    assert max(relative_error(a, b) for a, b in zip(expected, actual, strict=True)) < 0.02
