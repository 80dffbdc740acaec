"""The onnx kernel: a graph exported to ONNX, run by onnxruntime on the CPU in fp32.

The exported file is plain ONNX, which other runtimes read too (`emage-bench export`). onnxruntime
is imported here only.
"""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from engine.errors import KernelError, MissingBackendError
from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.system import cache
from engine.system.privacy import stay_private

OPSET: Final = 17
"""Version of the operators: the first with layer normalisation as one operator."""
_GET: Final = "pip install 'emage-live[cpu]'"


class OnnxBackend:
    """onnxruntime on the CPU."""

    name = "onnx"
    precision = Precision.FP32

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        """Open a session for the graph."""
        runtime = _onnxruntime()
        path = options.cache_path(graph, f"torch{torch.__version__}", suffix=".onnx")
        cached = cache.read(path)
        if cached is not None:
            with contextlib.suppress(KernelError):  # of another version: made again
                return _Session(_session(runtime, bytes(cached), options.threads), graph)
        options.log(f"exporting {graph.name} to ONNX ...")
        exported = _exported(graph, OPSET)
        options.write(path, exported)
        return _Session(_session(runtime, exported, options.threads), graph)


def write_onnx(graph: GraphSpec, path: Path, opset: int = OPSET) -> None:
    """Write `graph` to `path` atomically; KernelError for operators without an ONNX form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(_exported(graph, opset))
    part.replace(path)


def _exported(graph: GraphSpec, opset: int) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The newer exporter needs two more packages and gives the same operators. The older one
        # warns that shapes are traced as constants, which is intended.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                graph.module,
                graph.example,
                file,  # type: ignore[arg-type]  # a path or a file, by its documentation
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                opset_version=opset,
                dynamo=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).splitlines()[0]
            raise KernelError(f"{graph.name} cannot be exported to ONNX: {reason}") from error
    return file.getvalue()


def open_onnx(path: Path, graph: GraphSpec, threads: int) -> Executable:
    """Open the file at `path`, exported from `graph`."""
    return _Session(_session(_onnxruntime(), path.read_bytes(), threads), graph)


def _onnxruntime() -> Any:
    stay_private()
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingBackendError(f"onnxruntime is not installed; get it by {_GET}") from error
    return onnxruntime


def _session(runtime: Any, model: bytes, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no other base class
        raise KernelError(f"onnxruntime refuses the exported graph: {error}") from error


class _Session:
    """Runs a session; the exporter leaves out unused inputs."""

    def __init__(self, session: Any, graph: GraphSpec) -> None:
        self._session = session
        used = {port.name for port in session.get_inputs()}
        self._names = [(i, name) for i, name in enumerate(graph.inputs) if name in used]

    def __call__(self, tensors: Tensors) -> Tensors:
        feed = {name: tensors[i].numpy() for i, name in self._names}
        return tuple(torch.from_numpy(np.asarray(x)) for x in self._session.run(None, feed))
