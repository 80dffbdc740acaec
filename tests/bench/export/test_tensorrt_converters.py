import dataclasses

import torch
from torch import Tensor, nn

from bench.export.tensorrt_converters import audit
from tests.support.graphs import small_graph, tiny_graph


def test_every_operator_of_the_transformer_is_converted() -> None:
    found = audit(tiny_graph())
    assert found.missing == ()
    assert found.operators["addmm"] > 20
    assert "all with a converter" in found.line


class Odd(nn.Module):
    def forward(self, x: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        return torch.linalg.det(x[:, :2]), index


def test_an_operator_without_a_converter_is_named() -> None:
    graph = dataclasses.replace(small_graph(), module=Odd())
    found = audit(graph)
    assert found.missing
    assert "det" in found.line
    assert found.line.startswith("sums: no converter for")
