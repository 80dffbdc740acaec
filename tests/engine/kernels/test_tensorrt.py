import pytest
import torch

from engine.errors import MissingBackendError
from engine.kernels.graph import BuildOptions, Precision
from engine.kernels.tensorrt import TensorRtBackend
from tests.support.graphs import other_inputs, small_graph


def test_a_missing_library_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch_tensorrt", None)
    with pytest.raises(MissingBackendError, match=r"pip install 'emage-live\[gpu\]'"):
        TensorRtBackend(Precision.FP16).prepare(small_graph(), BuildOptions())


@pytest.mark.gpu
@pytest.mark.tensorrt
def test_outputs_equal_the_models() -> None:
    graph = small_graph()
    run = TensorRtBackend(Precision.FP32).prepare(graph, BuildOptions())
    torch.testing.assert_close(
        run(other_inputs()), graph.module(*other_inputs()), atol=1e-3, rtol=1e-3
    )
