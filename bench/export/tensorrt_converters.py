"""TensorRT operator audit: operators of a graph against those that torch-tensorrt converts.

For machines without TensorRT's libraries: the list has the converters that torch-tensorrt 2.13.0
registers (see "Operators Supported" in its documentation), for the operators that remain after
PyTorch's core decompositions. With the library, `emage-bench kernels --kernel tensorrt` is exact.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import torch

from engine.kernels.graph import GraphSpec

CONVERTED: Final = frozenset(
    (
        *("_softmax", "_to_copy", "abs", "add", "addmm", "amax", "amin", "any", "arange"),
        *("argmax", "argmin", "bmm", "cat", "ceil", "clamp", "clone", "constant_pad_nd"),
        *("convolution", "cos", "cumsum", "div", "embedding", "eq", "erf", "exp", "expand"),
        *("flip", "floor", "full", "gather", "ge", "gelu", "gt", "index", "index_select", "le"),
        *("leaky_relu", "linear", "log", "logical_and", "logical_not", "logical_or", "lt"),
        *("matmul", "max", "maximum", "mean", "min", "minimum", "mm", "mul"),
        *("native_layer_norm", "ne", "neg", "permute", "pow", "reciprocal", "relu"),
        *("remainder", "reshape", "round", "rsqrt", "scalar_tensor"),
        *("scaled_dot_product_attention", "scatter", "select", "sigmoid", "sign", "sin"),
        *("slice", "sort", "split", "split_with_sizes", "sqrt", "squeeze", "sub", "sum"),
        *("tanh", "topk", "unsqueeze", "view", "where", "_native_batch_norm_legit_no_training"),
        "getitem",
    )
)
REWRITTEN: Final = {
    "alias": "replaced by its input",
    "full_like": "replaced by full",
    "_assert_tensor_metadata": "removed",
    "detach": "removed",
}
"""Operators that torch-tensorrt's lowering removes before conversion."""


@dataclass(frozen=True)
class Audit:
    """Result for one graph.

    Attributes:
        graph: name of the graph.
        operators: number of uses of each operator.
        missing: operators without converter, which would run in PyTorch.

    """

    graph: str
    operators: dict[str, int]
    missing: tuple[str, ...]

    @property
    def line(self) -> str:
        """Result as text."""
        if self.missing:
            return f"{self.graph}: no converter for {', '.join(self.missing)}"
        total = sum(self.operators.values())
        kinds = len(self.operators)
        return f"{self.graph}: {total} operators of {kinds} kinds, all with a converter or lowered"


def audit(graph: GraphSpec) -> Audit:
    """Export `graph` as torch-tensorrt does, and look up every operator."""
    with torch.no_grad():
        program = torch.export.export(graph.module, graph.example, strict=False)
        lowered = program.run_decompositions()
    found = Counter(
        _name(str(node.target)) for node in lowered.graph.nodes if node.op == "call_function"
    )
    missing = tuple(sorted(set(found) - CONVERTED - set(REWRITTEN)))
    return Audit(graph.name, dict(sorted(found.items())), missing)


def _name(target: str) -> str:
    """Operator name: `aten.slice.Tensor` -> `slice`; getitem for Python's own."""
    if "getitem" in target:
        return "getitem"
    return target.split(".")[1] if "." in target else target
