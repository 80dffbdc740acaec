"""Capabilities that marked tests need, and how each is detected.

A test is marked with the capabilities it needs (`@pytest.mark.receiver`); `tests/conftest.py`
skips it if one is missing. Tests and fixtures have no skip rules of their own: a capability that
is detected but does not work fails the test. `pytest --bare` hides every optional program and
library of the table, also from child processes (see `hide`).
"""

import atexit
import ctypes
import ctypes.util
import importlib
import importlib.util
import mmap
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.plots.screenshot import BROWSERS

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
BARE = Path(__file__).with_name("bare")


def _yes() -> bool:
    return True


@dataclass(frozen=True)
class Capability:
    """An optional property of the machine.

    Attributes:
        needs: requirement, as shown to the user.
        libraries: modules that must all be importable.
        programs: programs that must all be on the path.
        one_of: programs of which at least one must be on the path.
        check: further condition; called only if libraries and programs are present.

    """

    needs: str
    libraries: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    check: Callable[[], bool] = _yes

    def present(self) -> bool:
        """Whether this machine has the capability."""
        return (
            all(map(_has_library, self.libraries))
            and all(map(shutil.which, self.programs))
            and (not self.one_of or any(map(shutil.which, self.one_of)))
            and self.check()
        )


def _has_library(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _imports(name: str) -> Callable[[], bool]:
    """A check for libraries that raise on import if one of their dependencies is missing."""

    def check() -> bool:
        try:
            importlib.import_module(name)
        except Exception:  # torch_tensorrt raises a plain Exception without NVIDIA's libraries
            return False
        return True

    return check


def _runs(*command: str) -> bool:
    """Whether a command exits with status 0."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _browser_runs() -> bool:
    """Whether the browser runs; Ubuntu without snap has a stub that only prints a hint."""
    return _runs(next(filter(None, map(shutil.which, BROWSERS))), "--version")


def _has_portaudio_with_pulse() -> bool:
    """Whether PortAudio is installed, and the ALSA plugin that connects to a sound server."""
    folders = ("lib", "lib64", "lib/*-linux-gnu*")
    plugin = "alsa-lib/libasound_module_pcm_pulse.so"
    found = any(any(Path("/usr").glob(f"{folder}/{plugin}")) for folder in folders)
    return ctypes.util.find_library("portaudio") is not None and found


def _speech_libraries() -> bool:
    return all(map(ctypes.util.find_library, ("espeak-ng", "flite")))


def _python_headers() -> bool:
    """Whether Python.h exists, which torch.compile needs; a separate package on Debian."""
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


def _has_locales() -> bool:
    """Whether the source of locale de_DE exists; a separate package on Debian."""
    return Path("/usr/share/i18n/locales/de_DE").is_file()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_bfloat16() -> bool:
    """Whether /proc/cpuinfo lists bfloat16; False on other systems than Linux."""
    try:
        words = Path("/proc/cpuinfo").read_text("utf-8", "replace").split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)


def _pages_out() -> bool:
    """Whether the kernel pages out a mapped file on MADV_PAGEOUT.

    Not supported before Linux 5.4, in some sandboxes, and for files in a memory file system.
    """
    size, page_out = 4 << 20, 21  # MADV_PAGEOUT
    if sys.platform != "linux":
        return False
    with tempfile.TemporaryFile() as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as pages:
            pages.find(b"\1")  # reads all pages
            before = _resident()
            anchor = ctypes.c_char.from_buffer(pages)
            address = ctypes.c_void_p(ctypes.addressof(anchor))
            ctypes.CDLL(None).madvise(address, ctypes.c_size_t(size), page_out)
            del anchor
            return _resident() < before - size // 2


def _resident() -> int:
    """Resident memory of this process, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


CAPABILITIES: dict[str, Capability] = {
    "audio_device": Capability(
        "a sound server with a microphone (pulseaudio, pulseaudio-utils, libportaudio2, "
        "libasound2-plugins, sounddevice)",
        libraries=("sounddevice",),
        programs=("pulseaudio", "pactl", "paplay"),
        check=_has_portaudio_with_pulse,
    ),
    "bfloat16": Capability("a processor that multiplies in bfloat16", check=_has_bfloat16),
    "browser": Capability("Chromium", one_of=BROWSERS, check=_browser_runs),
    "checkout": Capability(
        "a git checkout", programs=("git",), check=lambda: _runs("git", "-C", str(ROOT), "status")
    ),
    "cluster": Capability("Ray (ray[train])", libraries=("ray",), check=_imports("ray.train")),
    "compiler": Capability(
        "a C++ compiler and Python's headers (g++, python3-dev)",
        one_of=("c++", "g++", "clang++"),
        check=_python_headers,
    ),
    "gpu": Capability("a CUDA device", check=_has_gpu),
    "librosa": Capability("librosa", libraries=("librosa",)),
    "linux": Capability("Linux with /proc", check=Path("/proc/self/task").is_dir),
    "localedef": Capability(
        "localedef and the sources of locales (locales)",
        programs=("localedef",),
        check=_has_locales,
    ),
    "make": Capability("GNU make", programs=("make",)),
    "matplotlib": Capability("matplotlib", libraries=("matplotlib",)),
    "mkdocs": Capability("MkDocs (the extra docs)", libraries=("mkdocs", "material")),
    "mounts": Capability(
        "mount namespaces", programs=("unshare",), check=lambda: _runs("unshare", "-m", "true")
    ),
    "nncf": Capability("nncf and OpenVINO", libraries=("nncf", "openvino")),
    "no_gpu": Capability("a machine without a CUDA device", check=lambda: not _has_gpu()),
    "onnx": Capability("onnx and onnxruntime", libraries=("onnx", "onnxruntime")),
    "openvino": Capability("OpenVINO", libraries=("openvino",)),
    "osc_library": Capability("python-osc", libraries=("pythonosc",)),
    "page_out": Capability("a kernel that drops pages of files when advised to", check=_pages_out),
    "posix": Capability("signals and pipes of POSIX", check=lambda: os.name == "posix"),
    "receiver": Capability("oscdump (liblo-tools)", programs=("oscdump",)),
    "recogniser": Capability("pocketsphinx", libraries=("pocketsphinx",)),
    "reference": Capability(
        "the reference models and recordings in ../shared",
        check=lambda: all((SHARED / part).is_dir() for part in ("parity", "data/beat2")),
    ),
    "root": Capability(
        "the rights of root", check=lambda: hasattr(os, "geteuid") and os.geteuid() == 0
    ),
    "scipy": Capability("scipy", libraries=("scipy",)),
    "strace": Capability(
        "strace, and the right to trace",
        programs=("strace",),
        check=lambda: _runs("strace", "-o", os.devnull, "true"),
    ),
    "synthesis": Capability(
        "espeak-ng and flite", programs=("espeak-ng", "flite"), check=_speech_libraries
    ),
    "tensorboard": Capability("tensorboard", libraries=("tensorboard",)),
    "tensorrt": Capability(
        "torch-tensorrt", libraries=("torch_tensorrt",), check=_imports("torch_tensorrt")
    ),
    "vad": Capability("webrtcvad", libraries=("webrtcvad",)),
    "viewer": Capability("viser and trimesh", libraries=("viser", "trimesh")),
}

NEEDED_TO_BUILD = {"git", "make"}
OPTIONAL_LIBRARIES = {name for c in CAPABILITIES.values() for name in c.libraries}
OPTIONAL_PROGRAMS = {name for c in CAPABILITIES.values() for name in (*c.programs, *c.one_of)}
# no test needs ffmpeg; it is hidden because libraries behave differently without it
HIDDEN_PROGRAMS = OPTIONAL_PROGRAMS - NEEDED_TO_BUILD | {"ffmpeg"}


@cache
def missing(name: str) -> str | None:
    """Why tests marked `name` cannot run on this machine; None if they can."""
    capability = CAPABILITIES[name]
    return None if capability.present() else f"{name}: needs {capability.needs}"


def hide() -> None:
    """Hide the optional programs and libraries from this process and its children.

    Programs: PATH is replaced by a folder of links to all other programs. Libraries:
    `bare/sitecustomize.py` hides them, here and in every Python that reads PYTHONPATH.
    """
    os.environ["PATH"] = str(_folder_of_programs())
    os.environ["BARE_LIBRARIES"] = ",".join(sorted(OPTIONAL_LIBRARIES))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(BARE), *([inherited] if inherited else [])])
    runpy.run_path(str(BARE / "sitecustomize.py"))
    missing.cache_clear()


def _folder_of_programs() -> Path:
    """A new folder with links to every program on the path except the hidden ones."""
    folder = Path(tempfile.mkdtemp(prefix="bare-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        for program in sorted(Path(path).glob("*")):
            link = folder / program.name
            if program.name not in HIDDEN_PROGRAMS and not link.is_symlink():
                link.symlink_to(program)
    return folder
