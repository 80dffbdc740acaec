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
from engine.kernels.graph import Graph, Precision, Run, Settings, Tensors
from engine.system import cache
from engine.system.privacy import stay_private

OPSET: Final = 17
"""Version of the operators: the first with layer normalisation as one operator."""
_GET: Final = "pip install 'emage-live[cpu]'"


class OnnxBackend:
    """onnxruntime on the CPU."""

    name = "onnx"
    precision = Precision.FP32

    def prepare(self, graph: Graph, settings: Settings) -> Run:
        """The graph in a session of its own."""
        runtime = _onnxruntime()
        kept = settings.kept(graph, f"torch{torch.__version__}")
        path = None if kept is None else kept.with_name(f"{kept.name}.onnx")
        known = cache.read(path)
        if known is not None:
            with contextlib.suppress(KernelError):  # of another version: made again
                return _Session(_session(runtime, bytes(known), settings.threads), graph)
        settings.say(f"exporting {graph.name} to ONNX ...")
        exported = _exported(graph, OPSET)
        settings.write(path, exported)
        return _Session(_session(runtime, exported, settings.threads), graph)


def write_onnx(graph: Graph, path: Path, opset: int = OPSET) -> None:
    """Write `graph` to `path`, whole or not at all; KernelError for what ONNX cannot say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(_exported(graph, opset))
    part.replace(path)


def _exported(graph: Graph, opset: int) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The newer exporter needs two packages more and gives the same operators; that shapes are
        # traced as constants, which the older one warns of, is meant.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                graph.module,
                graph.example,
                file,  # type: ignore[arg-type]  # a path or a file, it says for itself
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                opset_version=opset,
                dynamo=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).splitlines()[0]
            raise KernelError(f"{graph.name} cannot be exported to ONNX: {reason}") from error
    return file.getvalue()


def open_onnx(path: Path, graph: Graph, threads: int) -> Run:
    """The file at `path`, exported from `graph`, ready to run."""
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
    except Exception as error:  # onnxruntime's errors share no base but this
        raise KernelError(f"onnxruntime refuses the exported graph: {error}") from error


class _Session:
    """A session; the exporter leaves out inputs that a graph does not look at."""

    def __init__(self, session: Any, graph: Graph) -> None:
        self._session = session
        used = {port.name for port in session.get_inputs()}
        self._names = [(i, name) for i, name in enumerate(graph.inputs) if name in used]

    def __call__(self, tensors: Tensors) -> Tensors:
        feed = {name: tensors[i].numpy() for i, name in self._names}
        return tuple(torch.from_numpy(np.asarray(x)) for x in self._session.run(None, feed))
