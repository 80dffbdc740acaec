"""A small stateless graph and the graph of a tiny gesture model, for backend tests."""

import dataclasses

import torch
from torch import Tensor, nn

from engine.kernels.graph import BuildOptions, GraphSpec
from engine.kernels.window_graph import WindowShape, draw_window, window_graph
from tests.support.tiny_bundle import tiny_bundle

SHAPE = WindowShape(
    rows=1, frames=24, audio_steps=24, channels=70, motion=337, words=8, speakers=1, newest=2
)


class LinearWithSum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        y = self.linear(x) + index[:, None]
        return y, y.sum(-1)


def small_graph() -> GraphSpec:
    example = (torch.ones(2, 4), torch.tensor([1, 2]))
    module = LinearWithSum().eval().requires_grad_(False)
    return GraphSpec("sums", module, example, ("x", "index"), ("y", "sum"))


def other_inputs() -> tuple[Tensor, ...]:
    return torch.linspace(-1, 1, 8).reshape(2, 4), torch.tensor([5, 7])


def tiny_graph(samples: int = 0) -> GraphSpec:
    generator = torch.Generator().manual_seed(3)
    windows = [tuple(draw_window(SHAPE, generator)) for _ in range(samples)]
    graph = window_graph(tiny_bundle().gesture, SHAPE)
    return dataclasses.replace(graph, samples=lambda: windows)


def cached_error(graph: GraphSpec, settings: BuildOptions) -> float:
    """The number in the graph's cache file `error`; a missing file is written with 0."""
    path = settings.cache_path(graph, "error")
    assert path is not None
    if not path.is_file():
        path.write_text("0.0")
    return float(path.read_text())
