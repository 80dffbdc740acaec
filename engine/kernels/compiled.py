"""The compile kernel: torch.compile on the device that the model is on. Needs a C++ compiler."""

import torch

from engine.errors import MissingBackendError
from engine.kernels.graph import Graph, Precision, Run, Settings, Tensors


class CompileBackend:
    """torch.compile, whole graph, fixed shapes; PyTorch keeps what it compiled by itself."""

    name = "compile"
    precision = Precision.FP32

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        """The graph compiled, which takes a minute the first time on a machine."""
        settings.say(f"compiling {graph.name} ...")
        compiled = torch.compile(graph.module, fullgraph=True, dynamic=False)

        def run(tensors: Tensors) -> Tensors:
            with torch.no_grad():
                return tuple(tensor.clone() for tensor in compiled(*tensors))

        try:
            run(graph.example)
        except Exception as error:  # PyTorch's compiler raises whatever its stages raise
            raise MissingBackendError(
                f"torch.compile does not work here ({str(error).splitlines()[0]}); it needs a C++ "
                "compiler such as g++"
            ) from error
        return run
