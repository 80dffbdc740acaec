"""What a machine must have for a marked test: one table of names and how each is detected.

A test that needs something marks it (`@pytest.mark.receiver`); `tests/conftest.py` skips it where
that is missing. No test decides by itself. `pytest --bare` runs as if every optional program and
library were missing (see `hide`).
"""

import importlib.abc
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
COMPILERS = ("c++", "g++", "clang++")

OPTIONAL_LIBRARIES = (
    *("librosa", "matplotlib", "nncf", "onnx", "onnxruntime", "openvino", "pocketsphinx"),
    *("pythonosc", "ray", "scipy", "sounddevice", "tensorboard", "torch_tensorrt", "trimesh"),
    *("viser", "webrtcvad"),
)
OPTIONAL_PROGRAMS = (
    *CHROMIUM,
    *COMPILERS,
    *("oscdump", "espeak-ng", "flite", "pulseaudio", "pactl", "paplay", "strace", "ffmpeg"),
)


def has_library(*names: str) -> bool:
    """Whether every library of `names` can be imported."""
    try:
        return all(importlib.util.find_spec(name) is not None for name in names)
    except ModuleNotFoundError:
        return False


def has_program(*names: str) -> bool:
    """Whether every program of `names` is on the path."""
    return all(shutil.which(name) for name in names)


def any_program(*names: str) -> bool:
    """Whether at least one program of `names` is on the path."""
    return any(shutil.which(name) for name in names)


def has_gpu() -> bool:
    """Whether PyTorch finds a CUDA device."""
    import torch

    return torch.cuda.is_available()


@dataclass(frozen=True)
class Capability:
    """needs: what the test needs, as shown to the user. present: whether this machine has it."""

    needs: str
    present: Callable[[], bool]


CAPABILITIES: dict[str, Capability] = {
    "audio_device": Capability(
        "a sound server with a microphone (pulseaudio, libportaudio2)",
        lambda: has_program("pulseaudio", "pactl") and has_library("sounddevice"),
    ),
    "browser": Capability("Chromium", lambda: any_program(*CHROMIUM)),
    "cluster": Capability("Ray", lambda: has_library("ray")),
    "compiler": Capability("a C++ compiler", lambda: any_program(*COMPILERS)),
    "gpu": Capability("a CUDA device", has_gpu),
    "librosa": Capability("librosa", lambda: has_library("librosa")),
    "linux": Capability("Linux", lambda: sys.platform == "linux"),
    "localedef": Capability("localedef", lambda: has_program("localedef")),
    "matplotlib": Capability("matplotlib", lambda: has_library("matplotlib")),
    "nncf": Capability("nncf", lambda: has_library("nncf", "openvino")),
    "no_gpu": Capability("a machine without a CUDA device", lambda: not has_gpu()),
    "onnx": Capability("onnx and onnxruntime", lambda: has_library("onnx", "onnxruntime")),
    "openvino": Capability("OpenVINO", lambda: has_library("openvino")),
    "osc_library": Capability("python-osc", lambda: has_library("pythonosc")),
    "posix": Capability("signals and pipes of POSIX", lambda: os.name == "posix"),
    "receiver": Capability("oscdump (liblo-tools)", lambda: has_program("oscdump")),
    "recogniser": Capability("pocketsphinx", lambda: has_library("pocketsphinx")),
    "reference": Capability(
        "the reference models and recordings in ../shared", (ROOT.parent / "shared").is_dir
    ),
    "root": Capability("the rights of root", lambda: hasattr(os, "geteuid") and os.geteuid() == 0),
    "scipy": Capability("scipy", lambda: has_library("scipy")),
    "strace": Capability("strace", lambda: has_program("strace")),
    "synthesis": Capability("espeak-ng and flite", lambda: has_program("espeak-ng", "flite")),
    "tensorboard": Capability("tensorboard", lambda: has_library("tensorboard")),
    "tensorrt": Capability("torch-tensorrt", lambda: has_library("torch_tensorrt")),
    "vad": Capability("webrtcvad", lambda: has_library("webrtcvad")),
    "viewer": Capability("viser and trimesh", lambda: has_library("viser", "trimesh")),
}


@cache
def missing(name: str) -> str | None:
    """Why tests marked `name` cannot run here; None where they can."""
    capability = CAPABILITIES[name]
    return None if capability.present() else f"{name}: needs {capability.needs}"


class _HiddenLibraries(importlib.abc.MetaPathFinder):
    """Refuses to import the optional libraries, as if they were not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in OPTIONAL_LIBRARIES:
            raise ModuleNotFoundError(f"No module named {fullname!r} (hidden)", name=fullname)
        return None


def hide() -> None:
    """Hide the optional programs and libraries from this process and its children's path."""
    sys.meta_path.insert(0, _HiddenLibraries())
    folder = Path(tempfile.mkdtemp(prefix="bare-"))
    for place in os.environ.get("PATH", "").split(os.pathsep):
        for program in sorted(Path(place).glob("*")) if place else ():
            if program.name not in OPTIONAL_PROGRAMS and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    os.environ["PATH"] = str(folder)
