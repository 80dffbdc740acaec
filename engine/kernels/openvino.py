"""The openvino kernels: a graph converted once, run on the CPU in fp32, bf16 or int8.

Int8 is in `engine.kernels.openvino_int8`. The compiled graph is kept as one file in OpenVINO's
format. OpenVINO and nncf are imported in these two files only.
"""

import contextlib
import locale
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from engine.errors import KernelError, MissingBackendError
from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.kernels.openvino_int8 import (
    convert_to_bf16,
    quantize_layers,
    quantize_weights_only,
    shared_core,
)
from engine.system import cache
from engine.system.privacy import stay_private

_HINT: Final = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.INT8: "f32"}
_GET: Final = "pip install 'emage-live[cpu]'"


class OpenVinoBackend:
    """One precision of OpenVINO on the CPU."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.name = "openvino" if precision is Precision.FP32 else f"openvino-{precision}"

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        """Compile the graph for this machine's CPU."""
        openvino = _openvino()
        properties: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINT[self.precision],
            "INFERENCE_NUM_THREADS": options.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Else inputs of weight-only int8 layers would be quantised too.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        }
        core = shared_core(openvino)
        path = self._path(openvino, graph, options)
        with decimal_points():
            ready = _load(openvino, core, path, properties)
            if ready is None:
                compiled = core.compile_model(
                    self.model(openvino, graph, options), "CPU", properties
                )
                written = options.write(path, compiled.export_model().getbuffer())
                # A mapped graph needs less memory than the compiled one.
                ready = _load(openvino, core, path, properties) if written else None
                ready = ready or _Compiled(compiled)
        return _InferRequest(ready, graph)

    def _path(self, openvino: Any, graph: GraphSpec, options: BuildOptions) -> Path | None:
        """File of the compiled graph, for this version, precision, machine and threads."""
        version = f"openvino{openvino.__version__.split('-')[0]}"
        marks = (version, self.precision, options.machine_mark)
        return options.cache_path(graph, *marks, suffix=".blob")

    def model(self, openvino: Any, graph: GraphSpec, options: BuildOptions) -> Any:
        """The graph converted to an OpenVINO model in this precision, not compiled."""
        model = self._make(openvino, graph, options)
        capable = shared_core(openvino).get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if self.precision is Precision.INT8 and "BF16" in capable:
            convert_to_bf16(openvino, model, graph)
        return model

    def _make(self, openvino: Any, graph: GraphSpec, options: BuildOptions) -> Any:
        options.log(f"converting {graph.name} for {self.name} ...")
        model = _converted(openvino, graph)
        if self.precision is not Precision.INT8:
            return model
        samples = graph.samples()
        if not samples:
            raise KernelError(
                f"int8 needs real inputs of {graph.name} to calibrate on and none came; use "
                "openvino or openvino-bf16"
            )
        model = quantize_layers(model, graph, samples, options.log)
        quantize_weights_only(openvino, model, graph, samples)
        return model


def _openvino() -> Any:
    stay_private()
    try:
        import openvino
    except ImportError as error:
        raise MissingBackendError(f"OpenVINO is not installed; get it by {_GET}") from error
    return openvino


class _Compiled(NamedTuple):
    """A compiled model, and the mapped file that holds its weights."""

    compiled: Any
    file: Any = None


def _load(
    openvino: Any, core: Any, path: Path | None, properties: dict[str, Any]
) -> _Compiled | None:
    """The compiled graph of a file; None without a file, or where OpenVINO refuses it."""
    data = cache.read(path)
    if data is None:
        return None
    try:
        shared = openvino.Tensor(np.frombuffer(data, np.uint8), shared_memory=True)
        return _Compiled(core.import_model(shared, "CPU", properties), (shared, data))
    except RuntimeError:
        return None


@contextlib.contextmanager
def decimal_points() -> Iterator[None]:
    """Set a decimal point while OpenVINO saves and loads numbers as text."""
    before = locale.setlocale(locale.LC_NUMERIC)
    if locale.localeconv()["decimal_point"] == ".":
        yield
        return
    locale.setlocale(locale.LC_NUMERIC, "C")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


def _converted(openvino: Any, graph: GraphSpec) -> Any:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes are traced as constants on purpose
        try:
            # OpenVINO would trace the module itself and compare, which takes seconds more; the
            # graph is verified later, on other inputs.
            trace: Any = torch.jit.trace
            traced = trace(graph.module, graph.example, check_trace=False, strict=False)
            model = openvino.convert_model(traced, example_input=graph.example)
        except Exception as error:  # its stages raise errors of any kind
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


class _InferRequest:
    """A compiled model with buffers of its own, so that a call allocates its results only."""

    def __init__(self, ready: _Compiled, graph: GraphSpec) -> None:
        import openvino

        self._request = ready.compiled.create_infer_request()
        self._file = ready.file
        self._inputs = [torch.zeros_like(tensor) for tensor in graph.example]
        shared = [openvino.Tensor(tensor.numpy(), shared_memory=True) for tensor in self._inputs]
        self._request.set_input_tensors(dict(enumerate(shared)))
        self._shared = shared
        self._outputs = range(len(graph.outputs))

    def __call__(self, tensors: Tensors) -> Tensors:
        for buffer, tensor in zip(self._inputs, tensors, strict=True):
            buffer.copy_(tensor)
        self._request.infer()
        # The next call overwrites the request's own memory.
        found = (self._request.get_output_tensor(i).data for i in self._outputs)
        return tuple(torch.from_numpy(np.array(data)) for data in found)
