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


class Convolving(nn.Module):
    """A convolution over time, and a layout, as decoders have them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layout = part_layout(BodyPart.LOWER, 51)
        self.convolution = TemporalConv(4, self.layout.width)

    def forward(self, x: Tensor, words: Tensor) -> tuple[Tensor, ...]:
        fields = self.layout.unpack(self.convolution(x).transpose(1, 2) + words[..., None])
        return fields["contact"], self.layout.pack(fields)


def convolving() -> GraphSpec:
    example = (torch.ones(1, 4, 6), torch.arange(6)[None])
    module = Convolving().eval().requires_grad_(False)
    return GraphSpec("convolving", module, example, ("x", "words"), ("contact", "all"))


@pytest.mark.compiler
@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.timeout(600)
def test_live_inputs_are_not_compiled_for_again() -> None:
    graph = convolving()
    run = CompileBackend().prepare(graph, BuildOptions())
    # Of one row, words that are expanded have a stride of 0; a stream has no mode but inference.
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
def test_what_was_compiled_is_kept_and_a_damaged_file_made_again(tmp_path: Path) -> None:
    graph, told = small_graph(), list[str]()
    options = BuildOptions(folder=tmp_path, log=told.append)

    def check() -> None:
        torch._dynamo.reset()
        compiled._workplace.cache_clear()  # as in another process
        run = CompileBackend().prepare(graph, options)
        torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))

    check()
    (kept,) = tmp_path.iterdir()
    check()
    assert told == ["compiling sums ..."]
    kept.write_bytes(kept.read_bytes()[:-1])
    check()
    assert len(told) == 2
    assert cache.read(kept) is not None
    cache.write(kept, b"no archive", told.append)
    check()
    assert len(told) == 3
    assert list(tmp_path.iterdir()) == [kept]


_BARE = """
from engine.kernels.compiled import CompileBackend
from engine.kernels.graph import BuildOptions
from tests.support.graphs import small_graph
try:
    CompileBackend().prepare(small_graph(), BuildOptions())
except Exception as error:
    raise SystemExit(str(error))
"""


@pytest.mark.posix
def test_a_machine_without_a_compiler_is_told_so(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _BARE],
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
def test_another_reason_is_not_blamed_on_the_compiler() -> None:
    graph = replace(small_graph(), module=Untraceable())
    with pytest.raises(MissingBackendError, match="cannot compile sums here: ") as caught:
        CompileBackend().prepare(graph, BuildOptions())
    assert "needs a C++ compiler" not in str(caught.value)
    assert "\n" not in str(caught.value)
