"""What an OpenVINO model multiplies in fewer bits than it came with.

Where there are few rows of inputs, weights alone in 8 bits, as it is the reading of them that takes
the time there; else weights and inputs in 8 bits, by nncf, calibrated on real inputs, where that is
borne; else bfloat16. Products of two activations, as in attention, stay as they are.
"""

import contextlib
import io
import logging
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import torch

from engine.errors import MissingBackendError
from engine.kernels.gptq import rounded
from engine.kernels.graph import Graph, Tensors
from engine.system.privacy import stay_private

ROWS: Final = 4
"""Of inputs, at most: for more, OpenVINO makes weights of 8 bits whole before it multiplies, which
takes longer than bfloat16."""
_BEYOND: Final = 3e38
_GET: Final = "pip install 'emage-live[cpu]'"


def quantized(
    model: Any, graph: Graph, samples: Sequence[Tensors], say: Callable[[str], None]
) -> Any:
    """The model with linear maps and convolutions of `graph.robust` modules in 8 bits."""
    stay_private()
    try:
        import nncf
    except ImportError as error:
        raise MissingBackendError(f"nncf is not installed; get it by {_GET}") from error
    say(f"quantising {graph.name} on {len(samples)} windows ...")
    left = delicate(model, graph.robust)
    few = [op.get_friendly_name() for op in _asked_by_few(model, graph)]
    ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # nncf draws bars
        return nncf.quantize(
            model,
            nncf.Dataset(_named(graph, samples)),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            # No model type: with TRANSFORMER, nncf 3.4 removes this network's body.
            ignored_scope=nncf.IgnoredScope([*left, *few], validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=ranges
            ),
        )


def _named(graph: Graph, samples: Sequence[Tensors]) -> list[dict[str, np.ndarray]]:
    return [
        {name: tensor.numpy() for name, tensor in zip(graph.inputs, sample, strict=True)}
        for sample in samples
    ]


def delicate(model: Any, robust: Sequence[str]) -> list[str]:
    """All operations but the linear maps and convolutions of robust modules, see `Graph`."""
    weighted = ("aten::linear", "_convolution")
    return [
        name
        for name in (op.get_friendly_name() for op in model.get_ops())
        if not any(re.search(pattern, name) for pattern in robust)
        or not any(kind in name for kind in weighted)
    ]


def _weighted(model: Any, kinds: Sequence[str], patterns: Sequence[str]) -> list[Any]:
    """Operations of some kinds that are so named, with weights as they came: not in 8 bits."""
    return [
        op
        for op in model.get_ops()
        if op.get_type_name() in kinds
        and any(re.search(pattern, op.get_friendly_name()) for pattern in patterns)
        and op.input_value(1).get_node().get_type_name() == "Constant"
    ]


def _asked_by_few(model: Any, graph: Graph) -> list[Any]:
    """Linear maps of few rows: those that bear 8 bits whole are no quicker by it than by weights
    of 8 bits, and further off.
    """
    maps = _weighted(model, ("MatMul",), (*graph.robust, *graph.rounded))
    return [op for op in maps if not op.get_attributes()["transpose_a"] and _rows(op) <= ROWS]


def lighten(openvino: Any, model: Any, graph: Graph, samples: Sequence[Tensors]) -> None:
    """Let linear maps of few rows of inputs read weights of 8 bits."""
    found = _asked_by_few(model, graph)
    if not found:
        return
    ops, grams = openvino.opset15, _grams(openvino, model, found, _named(graph, samples))
    for op in found:
        weights = np.array(op.input_value(1).get_node().data)
        turned = weights if op.get_attributes()["transpose_b"] else weights.T.copy()
        codes, scales = rounded(torch.from_numpy(turned), grams[_source(op)])
        light = ops.multiply(
            ops.convert(ops.constant(codes.numpy()), "f32"), ops.constant(scales.numpy())
        )
        product = ops.matmul(op.input_value(0), light, False, True)
        product.set_friendly_name(op.get_friendly_name())
        op.output(0).replace(product.output(0))


def _rows(op: Any) -> int:
    return int(np.prod(list(op.input_value(0).get_shape())[:-1]))


def _source(op: Any) -> tuple[str, int]:
    """What a product's inputs are the output of: several may have the same."""
    output = op.input_value(0)
    return output.get_node().get_friendly_name(), output.get_index()


@cache
def shared_core(openvino: Any) -> Any:
    """The one Core of this process, which is never freed.

    On CPUs with AMX the last Core that goes restores the signal stack of the thread that frees it.
    Where that is not the main thread, the main thread's signal stack is lost, and the next signal
    ends the process with SIGSEGV.
    """
    core = openvino.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin, which then stays loaded
    return core


def _grams(
    openvino: Any, model: Any, found: Sequence[Any], samples: Sequence[dict[str, np.ndarray]]
) -> dict[tuple[str, int], torch.Tensor]:
    """The sum of x x^T over the inputs of products, by where they come from."""
    twin, sources = model.clone(), list({_source(op): None for op in found})
    nodes = {op.get_friendly_name(): op for op in twin.get_ops()}
    seen = [openvino.opset15.result(nodes[name].output(index)) for name, index in sources]
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    watched = openvino.Model(seen, twin.get_parameters())
    request = shared_core(openvino).compile_model(watched, "CPU", options).create_infer_request()
    grams: dict[tuple[str, int], torch.Tensor] = {}
    for sample in samples:
        request.infer(sample)
        for i, source in enumerate(sources):
            rows = torch.from_numpy(request.get_output_tensor(i).data).flatten(0, -2)
            grams[source] = grams.get(source, 0.0) + rows.T @ rows
    return grams


def round_rest(openvino: Any, model: Any, graph: Graph) -> None:
    """Let linear maps and convolutions of `graph.rounded` multiply in bfloat16, but for those with
    8 bits.
    """
    ops = openvino.opset15
    for op in _weighted(model, ("MatMul", "Convolution"), graph.rounded):
        name, readers = op.get_friendly_name(), list(op.output(0).get_target_inputs())
        weights = ops.constant(op.input_value(1).get_node().data, openvino.Type.bf16)
        op.input(0).replace_source_output(ops.convert(op.input_value(0), "bf16").output(0))
        op.input(1).replace_source_output(weights.output(0))
        op.validate_and_infer_types()
        op.set_friendly_name(f"{name}/rounded")
        # The bound is beyond all values: bare, a conversion from fewer bits is taken for the end of
        # 8-bit numbers and moved to where a product of both kinds cannot be.
        bound = ops.constant(np.float32(_BEYOND))
        whole = ops.minimum(ops.convert(op, "f32"), bound)
        whole.set_friendly_name(name)
        for reader in readers:
            reader.replace_source_output(whole.output(0))
