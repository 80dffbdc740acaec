"""Mixed precision of an OpenVINO model.

Small-batch linear layers: int8 weights only, because they are memory-bound. Layers that tolerate
it: int8 weights and activations, calibrated by nncf on recorded speech. Others: bfloat16. Products
of two activations, as in attention, stay in fp32.
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
from engine.kernels.gptq import quantize
from engine.kernels.graph import GraphSpec, Tensors
from engine.system.privacy import stay_private

ROWS: Final = 4
"""Largest batch of a weight-only int8 layer. For more rows OpenVINO converts the weights to fp32
before it multiplies, which takes longer than bfloat16."""
_NO_OP_CLAMP: Final = 3e38
_GET: Final = "pip install 'emage-live[cpu]'"


def quantize_layers(
    model: Any, graph: GraphSpec, samples: Sequence[Tensors], log: Callable[[str], None]
) -> Any:
    """Quantise the linear layers and convolutions of `graph.int8_layers` to int8."""
    stay_private()
    try:
        import nncf
    except ImportError as error:
        raise MissingBackendError(f"nncf is not installed; get it by {_GET}") from error
    log(f"quantising {graph.name} on {len(samples)} windows ...")
    ignored = ignored_ops(model, graph.int8_layers)
    small = [op.get_friendly_name() for op in _small_batch_matmuls(model, graph)]
    ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # nncf prints progress bars
        return nncf.quantize(
            model,
            nncf.Dataset(_named(graph, samples)),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            # No model type: with TRANSFORMER, nncf 3.4 removes this network's body.
            ignored_scope=nncf.IgnoredScope([*ignored, *small], validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=ranges
            ),
        )


def _named(graph: GraphSpec, samples: Sequence[Tensors]) -> list[dict[str, np.ndarray]]:
    return [
        {name: tensor.numpy() for name, tensor in zip(graph.inputs, sample, strict=True)}
        for sample in samples
    ]


def ignored_ops(model: Any, int8_layers: Sequence[str]) -> list[str]:
    """All operations but the linear layers and convolutions of `int8_layers`."""
    weighted = ("aten::linear", "_convolution")
    return [
        name
        for name in (op.get_friendly_name() for op in model.get_ops())
        if not any(re.search(pattern, name) for pattern in int8_layers)
        or not any(kind in name for kind in weighted)
    ]


def _weighted(model: Any, kinds: Sequence[str], patterns: Sequence[str]) -> list[Any]:
    """Operations of some kinds, with matching names and weights that are not quantised yet."""
    return [
        op
        for op in model.get_ops()
        if op.get_type_name() in kinds
        and any(re.search(pattern, op.get_friendly_name()) for pattern in patterns)
        and op.input_value(1).get_node().get_type_name() == "Constant"
    ]


def _small_batch_matmuls(model: Any, graph: GraphSpec) -> list[Any]:
    """Linear layers with at most ROWS rows: full int8 is no faster there, and less accurate."""
    layers = _weighted(model, ("MatMul",), (*graph.int8_layers, *graph.bf16_layers))
    return [op for op in layers if not op.get_attributes()["transpose_a"] and _rows(op) <= ROWS]


def quantize_weights_only(
    openvino: Any, model: Any, graph: GraphSpec, samples: Sequence[Tensors]
) -> None:
    """Replace the weights of small-batch linear layers by int8 weights (GPTQ)."""
    found = _small_batch_matmuls(model, graph)
    if not found:
        return
    ops, grams = openvino.opset15, _gram_matrices(openvino, model, found, _named(graph, samples))
    for op in found:
        weights = np.array(op.input_value(1).get_node().data)
        oriented = weights if op.get_attributes()["transpose_b"] else weights.T.copy()
        codes, scales = quantize(torch.from_numpy(oriented), grams[_source(op)])
        dequantized = ops.multiply(
            ops.convert(ops.constant(codes.numpy()), "f32"), ops.constant(scales.numpy())
        )
        product = ops.matmul(op.input_value(0), dequantized, False, True)
        product.set_friendly_name(op.get_friendly_name())
        op.output(0).replace(product.output(0))


def _rows(op: Any) -> int:
    return int(np.prod(list(op.input_value(0).get_shape())[:-1]))


def _source(op: Any) -> tuple[str, int]:
    """The output that a product reads; several products may read the same one."""
    output = op.input_value(0)
    return output.get_node().get_friendly_name(), output.get_index()


@cache
def shared_core(openvino: Any) -> Any:
    """The one Core of this process, which is never freed.

    On CPUs with AMX the last Core that is freed restores the signal stack of the freeing thread. In
    another thread than the main one, the main thread's signal stack is lost, and the next signal
    ends the process with SIGSEGV.
    """
    core = openvino.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin, which then stays loaded
    return core


def _gram_matrices(
    openvino: Any, model: Any, found: Sequence[Any], samples: Sequence[dict[str, np.ndarray]]
) -> dict[tuple[str, int], torch.Tensor]:
    """Sum of x x^T over the inputs x of products, by the output that they read."""
    copy, sources = model.clone(), list({_source(op): None for op in found})
    nodes = {op.get_friendly_name(): op for op in copy.get_ops()}
    outputs = [openvino.opset15.result(nodes[name].output(index)) for name, index in sources]
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    observed = openvino.Model(outputs, copy.get_parameters())
    spec = shared_core(openvino).compile_model(observed, "CPU", options).create_infer_request()
    grams: dict[tuple[str, int], torch.Tensor] = {}
    for sample in samples:
        spec.infer(sample)
        for i, source in enumerate(sources):
            rows = torch.from_numpy(spec.get_output_tensor(i).data).flatten(0, -2)
            grams[source] = grams.get(source, 0.0) + rows.T @ rows
    return grams


def convert_to_bf16(openvino: Any, model: Any, graph: GraphSpec) -> None:
    """Compute the layers of `graph.bf16_layers` in bfloat16, but for those in int8."""
    ops = openvino.opset15
    for op in _weighted(model, ("MatMul", "Convolution"), graph.bf16_layers):
        name, readers = op.get_friendly_name(), list(op.output(0).get_target_inputs())
        weights = ops.constant(op.input_value(1).get_node().data, openvino.Type.bf16)
        op.input(0).replace_source_output(ops.convert(op.input_value(0), "bf16").output(0))
        op.input(1).replace_source_output(weights.output(0))
        op.validate_and_infer_types()
        op.set_friendly_name(f"{name}/bf16")
        # OpenVINO takes a bare conversion for the end of an int8 section and moves it to a place
        # where the product cannot be computed. A clamp beyond all values prevents that.
        bound = ops.constant(np.float32(_NO_OP_CLAMP))
        restored = ops.minimum(ops.convert(op, "f32"), bound)
        restored.set_friendly_name(name)
        for reader in readers:
            reader.replace_source_output(restored.output(0))
