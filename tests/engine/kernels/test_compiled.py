import pytest
import torch

from engine.errors import MissingBackendError
from engine.kernels.compiled import CompileBackend
from engine.kernels.graph import Settings
from tests.engine.kernels.graphs import other_inputs, small_graph


def test_a_machine_that_cannot_compile_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        def run(*_: object) -> object:
            raise RuntimeError("no compiler\nand more")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(MissingBackendError, match=r"\(no compiler\); it needs a C\+\+ compiler"):
        CompileBackend().prepare(small_graph(), Settings())


@pytest.mark.compiler
@pytest.mark.slow
def test_a_compiled_graph_runs_as_the_model_does() -> None:
    graph = small_graph()
    run = CompileBackend().prepare(graph, Settings())
    torch.testing.assert_close(run(other_inputs()), graph.module(*other_inputs()))
