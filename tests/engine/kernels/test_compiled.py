import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.errors import MissingBackendError
from engine.kernels import compiled
from engine.kernels.compiled import CompileBackend
from engine.kernels.graph import BuildOptions, GraphSpec
from engine.model.conv import TemporalConv
from engine.motion.channels import part_layout
from engine.motion.skeleton import BodyPart
from engine.system import cache
from tests.support.graphs import other_inputs, small_graph


class ConvolutionWithLayout(nn.Module):
    """A temporal convolution and a channel layout, as in pose decoders."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layout = part_layout(BodyPart.LOWER, 51)
        self.convolution = TemporalConv(4, self.layout.width)

    def forward(self, x: Tensor, words: Tensor) -> tuple[Tensor, ...]:
        fields = self.layout.unpack(self.convolution(x).transpose(1, 2) + words[..., None])
        return fields["contact"], self.layout.pack(fields)


def convolution_graph() -> GraphSpec:
    example = (torch.ones(1, 4, 6), torch.arange(6)[None])
    module = ConvolutionWithLayout().eval().requires_grad_(False)
    return GraphSpec("convolving", module, example, ("x", "words"), ("contact", "all"))


@pytest.mark.compiler
@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.timeout(600)
def test_live_inputs_do_not_cause_recompilation() -> None:
    graph = convolution_graph()
    run = CompileBackend().prepare(graph, BuildOptions())
    # live inputs differ in stride (0 for expanded words) and in inference mode
    live = (torch.linspace(-1, 1, 24).reshape(1, 4, 6), torch.arange(6).as_strided((1, 6), (0, 1)))
    with torch.compiler.set_stance("fail_on_recompile"):
        for inputs in (graph.example, live):
            torch.testing.assert_close(run(inputs), graph.module(*inputs))
            with torch.inference_mode():
                copies = tuple(tensor.clone() for tensor in inputs)
                torch.testing.assert_close(run(copies), graph.module(*copies))
        assert live[1].stride() == (0, 1)


@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.timeout(600)
def test_compiled_graphs_are_cached_and_recompiled_if_damaged(tmp_path: Path) -> None:
    graph, messages = small_graph(), list[str]()
    options = BuildOptions(folder=tmp_path, log=messages.append)

    def check() -> None:
        torch._dynamo.reset()
        compiled._workplace.cache_clear()  # as in a new process
        run = CompileBackend().prepare(graph, options)
        torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))

    check()
    (cached,) = tmp_path.iterdir()
    check()
    assert messages == ["compiling sums ..."]
    cached.write_bytes(cached.read_bytes()[:-1])
    check()
    assert len(messages) == 2
    assert cache.read(cached) is not None
    cache.write(cached, b"no archive", messages.append)
    check()
    assert len(messages) == 3
    assert list(tmp_path.iterdir()) == [cached]


_COMPILE_SMALL_GRAPH = """
from engine.kernels.compiled import CompileBackend
from engine.kernels.graph import BuildOptions
from tests.support.graphs import small_graph
try:
    CompileBackend().prepare(small_graph(), BuildOptions())
except Exception as error:
    raise SystemExit(str(error))
"""


@pytest.mark.posix
def test_a_missing_compiler_is_reported(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _COMPILE_SMALL_GRAPH],
        env={"PATH": "/nonexistent"},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr.splitlines()[-1] == (
        "torch.compile cannot compile sums here: it needs a C++ compiler such as g++"
    )


class Untraceable(nn.Module):
    def forward(self, x: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        torch._dynamo.graph_break()
        return x, index


@pytest.mark.compiler
def test_other_compile_errors_do_not_blame_a_missing_compiler() -> None:
    graph = replace(small_graph(), module=Untraceable())
    with pytest.raises(MissingBackendError, match="cannot compile sums here: ") as raised:
        CompileBackend().prepare(graph, BuildOptions())
    assert "needs a C++ compiler" not in str(raised.value)
    assert "\n" not in str(raised.value)
