"""The tensorrt kernels: a graph built into a TensorRT engine by torch-tensorrt, fp32 or fp16.

Building takes minutes; the engine is kept in a file named by GPU and versions.
torch_tensorrt is imported here only: without NVIDIA's libraries its import fails in many ways.
"""

import copy
from pathlib import Path
from typing import Any, Final

import torch

from engine.errors import KernelError, MissingBackendError
from engine.kernels.graph import BuildOptions, Executable, GraphSpec, Precision, Tensors
from engine.system import cache

_GET: Final = (
    "pip install 'emage-live[gpu]' --extra-index-url https://pypi.nvidia.com (Linux or Windows "
    "with an NVIDIA GPU)"
)


class TensorRtBackend:
    """TensorRT in fp32, or in fp16 where its autocast allows it."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.name = "tensorrt" if precision is Precision.FP32 else f"tensorrt-{precision}"

    def prepare(self, graph: GraphSpec, options: BuildOptions) -> Executable:
        """Build an engine for the current CUDA device."""
        library = _torch_tensorrt()
        if not torch.cuda.is_available():
            raise KernelError(f"{self.name} needs a CUDA device and PyTorch finds none")
        gpu = torch.cuda.get_device_name().replace(" ", "-")
        marks = (gpu, f"tensorrt{library.__version__}", f"torch{torch.__version__}", self.precision)
        path = options.cache_path(graph, *marks, suffix=".ep")
        engine = _load(library, path)
        if engine is None:
            options.log(f"building {graph.name} for {gpu}; this takes minutes, once ...")
            engine = self._build(library, graph)
            self._keep(library, engine, graph, options, path)
        return _Engine(engine)

    def _keep(
        self, library: Any, engine: Any, graph: GraphSpec, options: BuildOptions, path: Path | None
    ) -> None:
        if path is None:
            return
        try:
            with cache.scratch(path.parent) as folder:
                library.save(
                    engine, str(folder / "engine.ep"), arg_inputs=list(_on_device(graph.example))
                )
                options.write(path, (folder / "engine.ep").read_bytes())
        except OSError as error:
            cache.note_unkept(path.parent, str(error), options.log)

    def _build(self, library: Any, graph: GraphSpec) -> Any:
        module = copy.deepcopy(graph.module).cuda()
        inputs = _on_device(graph.example)
        options: dict[str, Any] = {"truncate_double": True, "min_block_size": 1}
        if self.precision is Precision.FP16:
            options |= {"enable_autocast": True, "autocast_low_precision_type": torch.float16}
        try:
            with torch.no_grad():
                program = torch.export.export(module, inputs, strict=False)
                return library.dynamo.compile(program, arg_inputs=list(inputs), **options)
        except Exception as error:  # TensorRT's errors share no base but this
            raise KernelError(f"TensorRT cannot build {graph.name}: {error}") from error


def _torch_tensorrt() -> Any:
    try:
        import torch_tensorrt
    except Exception as error:  # its missing libraries raise more than ImportError
        raise MissingBackendError(f"torch-tensorrt is not usable; get it by {_GET}") from error
    return torch_tensorrt


def _load(library: Any, path: Path | None) -> Any | None:
    """The engine of a file; None without a file, or where it cannot be read."""
    data = cache.read(path)
    if path is None or data is None:
        return None
    try:
        with cache.scratch(path.parent) as folder:
            (folder / "engine.ep").write_bytes(data)
            return library.load(str(folder / "engine.ep")).module()
    except Exception:  # of another version; built again
        return None


def _on_device(tensors: Tensors) -> Tensors:
    return tuple(tensor.cuda() for tensor in tensors)


class _Engine:
    """Runs an engine; moves inputs and outputs to and from its device."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __call__(self, tensors: Tensors) -> Tensors:
        device = tensors[0].device
        with torch.inference_mode():
            found = self._engine(*_on_device(tensors))
            return tuple(x.float().to(device) for x in found)
