"""The openvino kernels: a graph converted once, run on the CPU in fp32, bf16 or int8.

What int8 is made of is in `engine.kernels.openvino_bits`. What was converted is kept as OpenVINO's
own files where there is a folder for it. OpenVINO and nncf are imported in these two files only.
"""

import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from engine.errors import KernelError, MissingBackendError
from engine.kernels.graph import Graph, Precision, Run, Settings, Tensors
from engine.kernels.openvino_bits import lighten, quantized, round_rest

_HINT: Final = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.INT8: "f32"}
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
        numbers = ("int8-w8-bf16" if rounds else "int8-w8") if int8 else "fp32"
        kept = settings.kept(graph, version, numbers)
        path = None if kept is None else kept.with_name(f"{kept.name}.xml")
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINT[self.precision],
            "INFERENCE_NUM_THREADS": settings.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Where weights alone have 8 bits, inputs would be rounded too, as they come.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        }
        core = openvino.Core()
        compiled = None if path is None else _kept(core, path, options)
        if compiled is None:
            model = self._make(openvino, graph, settings)
            if rounds:
                round_rest(openvino, model, graph)
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
        if self.precision is not Precision.INT8:
            return model
        samples = graph.samples()
        if not samples:
            raise KernelError(
                f"int8 needs real inputs of {graph.name} to calibrate on and none came; use "
                "openvino or openvino-bf16"
            )
        model = quantized(model, graph, samples, settings.say)
        lighten(openvino, model, graph, samples)
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
