"""What kernels and steps are built for, and the folder that keeps compiled files of one model.

One folder per model lies in the cache directory, named by a hash of the configuration, the weights
and the sources of the networks. It holds compiled graphs, reference outputs, recorded windows and
the choice of `auto`. All of it may be deleted; unreadable files are made again.
"""

import hashlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import torch

import engine.generate
import engine.kernels
import engine.model
from engine.bundle.io import Bundle
from engine.config.serialize import to_mapping
from engine.generate.schedule import Schedule
from engine.kernels.graph import BuildOptions
from engine.motion import rotation
from engine.postprocess.chain import PostProcessConfig
from engine.system import cache
from engine.system.memory import PageOut
from engine.system.threads import graph_threads

Log = Callable[[str], None]
_LIBRARIES: Final = ("torch", "openvino", "onnxruntime", "nncf", "torch-tensorrt")


def ignore(_text: str) -> None:
    """Log nothing."""


@dataclass(frozen=True)
class BuildTarget:
    """A model, the schedule of its windows, and where files and messages go.

    Attributes:
        bundle: the model.
        schedule: windows and hops that the step is built for.
        cache_dir: folder of the files of all models; None: nothing is kept.
        log: called with one line about whatever takes long or fails.

    """

    bundle: Bundle
    schedule: Schedule
    cache_dir: Path | None = None
    log: Log = ignore

    @property
    def folder(self) -> Path | None:
        """Folder of this model's files; None where nothing is kept."""
        place = self.cache_dir
        return None if place is None else place / "kernels" / _fingerprint(self.bundle)

    @property
    def options(self) -> BuildOptions:
        """Threads, folder and log of the backends; logs a note where nothing can be kept."""
        folder = self.folder
        if folder is None:
            cache.note_unkept(None, "no home folder; set XDG_CACHE_HOME", self.log)
        return BuildOptions(graph_threads(self.bundle.gesture), folder, self.log, machine())

    def with_schedule(self, schedule: Schedule) -> "BuildTarget":
        """The same model with other windows."""
        return replace(self, schedule=schedule)


def machine() -> str:
    """Processor, GPU and library versions, as one line."""
    found = [platform.machine(), processor(), str(os.cpu_count())]
    if torch.cuda.is_available():
        found.append(torch.cuda.get_device_name())
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _fingerprint(bundle: Bundle) -> str:
    """Hash of everything that a graph of `bundle` depends on; post-processing is no part of it."""
    config = replace(bundle.config, postprocess=PostProcessConfig())
    digest = hashlib.sha256(json.dumps(to_mapping(config), sort_keys=True).encode())
    for source in _sources():
        digest.update(source.read_bytes())
    page_out = PageOut()
    for key, module in bundle.modules().items():
        for name, tensor in module.state_dict().items():
            digest.update(f"{key}.{name}".encode())
            digest.update(tensor.contiguous().numpy().data)
            page_out(tensor)
    return digest.hexdigest()[:16]


def _sources() -> list[Path]:
    """Files whose code is part of compiled graphs."""
    packages = (engine.model, engine.generate, engine.kernels)
    folders = [Path(str(package.__file__)).parent for package in packages]
    return [
        *(p for folder in folders for p in sorted(folder.rglob("*.py"))),
        Path(rotation.__file__),
    ]


def processor() -> str:
    """Name of the processor."""
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
