"""The openvino kernels: a graph converted once, run on the CPU in fp32, bf16 or int8.

int8 is post-training quantisation by nncf, calibrated on real inputs; linear maps that do not bear
it multiply in bfloat16, where the processor can. What was converted is kept as OpenVINO's own files
where there is a folder for it. OpenVINO and nncf are imported here only.
"""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from engine.errors import KernelError, MissingBackendError
from engine.kernels.graph import Graph, Precision, Run, Settings, Tensors

_HINT: Final = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.INT8: "f32"}
_BEYOND: Final = 3e38
_GET: Final = "pip install 'emage-live[cpu]'"


class OpenVinoBackend:
    """One precision of OpenVINO on the CPU."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.name = "openvino" if precision is Precision.FP32 else f"openvino-{precision}"

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        """The graph compiled for this machine's CPU."""
        openvino = _openvino()
        version = f"openvino{openvino.__version__.split('-')[0]}"
        int8 = self.precision is Precision.INT8
        rounds = int8 and "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        numbers = ("int8-bf16" if rounds else "int8") if int8 else "fp32"
        kept = settings.kept(graph, version, numbers)
        path = None if kept is None else kept.with_name(f"{kept.name}.xml")
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINT[self.precision],
            "INFERENCE_NUM_THREADS": settings.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        core = openvino.Core()
        compiled = None if path is None else _kept(core, path, options)
        if compiled is None:
            model = self._make(openvino, graph, settings)
            if rounds:
                _round(openvino, model, graph)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                openvino.save_model(model, path, compress_to_fp16=False)
                compiled = _kept(core, path, options)
            # Where nothing can be kept, or not be read again, it runs as it was made.
            compiled = compiled or core.compile_model(model, "CPU", options)
        return _Request(compiled, graph)

    def _make(self, openvino: Any, graph: Graph, settings: Settings) -> Any:
        settings.say(f"converting {graph.name} for {self.name} ...")
        model = _converted(openvino, graph)
        if self.precision is Precision.INT8:
            return _quantized(openvino, model, graph, settings)
        return model


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MissingBackendError(f"OpenVINO is not installed; get it by {_GET}") from error
    return openvino


def _kept(core: Any, path: Path, options: dict[str, Any]) -> Any | None:
    """What was kept, compiled; None where nothing was or where it cannot be read.

    Compiling takes a second, so what comes of it is kept too: OpenVINO itself looks whether that
    is of this file, version and machine.
    """
    beside = {"CACHE_DIR": str(path.with_name(f"{path.stem}_compiled"))}
    try:
        return core.compile_model(path, "CPU", options | beside) if path.is_file() else None
    except RuntimeError:
        return None


def _converted(openvino: Any, graph: Graph) -> Any:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that shapes are traced as constants, which is meant
        try:
            model = openvino.convert_model(graph.module, example_input=graph.example)
        except Exception as error:  # it raises whatever its stages raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise KernelError(f"OpenVINO cannot convert {graph.name}: {reason}") from error
    for port, name in zip(model.inputs, graph.inputs, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, graph.outputs, strict=True):
        port.get_tensor().set_names({name})
    shapes = {
        name: list(tensor.shape) for name, tensor in zip(graph.inputs, graph.example, strict=True)
    }
    model.reshape(shapes)
    return model


def _quantized(openvino: Any, model: Any, graph: Graph, settings: Settings) -> Any:
    samples = graph.samples()
    if not samples:
        raise KernelError(
            f"int8 needs real inputs of {graph.name} to calibrate on and none came; use openvino "
            "or openvino-bf16"
        )
    try:
        import nncf
    except ImportError as error:
        raise MissingBackendError(f"nncf is not installed; get it by {_GET}") from error
    settings.say(f"quantising {graph.name} on {len(samples)} windows ...")
    items = [
        {name: tensor.numpy() for name, tensor in zip(graph.inputs, sample, strict=True)}
        for sample in samples
    ]
    ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # nncf draws bars
        return nncf.quantize(
            model,
            nncf.Dataset(items),
            subset_size=len(items),
            preset=nncf.QuantizationPreset.MIXED,
            # No model type: with TRANSFORMER, nncf 3.4 leaves nothing of this network's body.
            ignored_scope=nncf.IgnoredScope(_delicate(model, graph.robust), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=ranges
            ),
        )


def _delicate(model: Any, robust: Sequence[str]) -> list[str]:
    """All operations but the linear maps and convolutions of robust modules, see `Graph`.

    Products of two activations, as in attention, stay as they are.
    """
    weighted = ("aten::linear", "_convolution")
    return [
        name
        for name in (op.get_friendly_name() for op in model.get_ops())
        if not any(re.search(pattern, name) for pattern in robust)
        or not any(kind in name for kind in weighted)
    ]


def _round(openvino: Any, model: Any, graph: Graph) -> None:
    """Let linear maps of `graph.rounded` multiply in bfloat16, but for those that have 8 bits."""
    ops = openvino.opset15
    for op in model.get_ops():
        name, weights = op.get_friendly_name(), None
        if op.get_type_name() == "MatMul" and any(re.search(p, name) for p in graph.rounded):
            weights = op.input_value(1).get_node()
        # What has 8 bits, and products of two activations, have no plain numbers there.
        if weights is None or weights.get_type_name() != "Constant":
            continue
        turned = op.get_attributes()
        product = ops.matmul(
            ops.convert(op.input_value(0), "bf16"),
            ops.constant(weights.data, openvino.Type.bf16),
            turned["transpose_a"],
            turned["transpose_b"],
        )
        product.set_friendly_name(f"{name}/rounded")
        # The bound is beyond all values: bare, a conversion from fewer bits is taken for the end of
        # 8-bit numbers and moved to where a product of both kinds cannot be.
        whole = ops.minimum(ops.convert(product, "f32"), ops.constant(np.float32(_BEYOND)))
        whole.set_friendly_name(name)
        op.output(0).replace(whole.output(0))


class _Request:
    """A compiled model with buffers of its own, so that a call allocates its results only."""

    def __init__(self, compiled: Any, graph: Graph) -> None:
        import openvino

        self._request = compiled.create_infer_request()
        self._inputs = [torch.zeros_like(tensor) for tensor in graph.example]
        shared = [openvino.Tensor(tensor.numpy(), shared_memory=True) for tensor in self._inputs]
        self._request.set_input_tensors(dict(enumerate(shared)))
        self._shared = shared
        self._outputs = range(len(graph.outputs))

    def __call__(self, tensors: Tensors) -> Tensors:
        for buffer, tensor in zip(self._inputs, tensors, strict=True):
            buffer.copy_(tensor)
        self._request.infer()
        # The request's own memory is written again by the next call.
        found = (self._request.get_output_tensor(i).data for i in self._outputs)
        return tuple(torch.from_numpy(np.array(data)) for data in found)
