"""Turns off all reports of optional libraries and their files outside the cache folder.

OpenVINO and nncf report each import and conversion by `openvino_telemetry`, which looks up its host
and writes identifiers to the home folder; onnxruntime does so by itself; Ray reports its use.
Called before each import of such a library; writes nothing.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.system.cache import cache_folder

_OFF: Final = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime
    "RAY_USAGE_STATS_ENABLED": "0",
}
_COMPILER_FOLDERS: Final = ("TORCHINDUCTOR_CACHE_DIR", "TMPDIR")
_REPORTER: Final = "openvino_telemetry"


def stay_private() -> None:
    """Turn off the reports of all optional libraries in this process and its children."""
    os.environ.update(_OFF)
    # None in place of a module makes its import fail. OpenVINO and nncf then use stubs of their
    # own. Its opt-out would write to the home folder, and report that it opted out.
    sys.modules.setdefault(_REPORTER, None)  # type: ignore[arg-type]
    folder = cache_folder()
    if folder is not None:
        # Matplotlib keeps its list of fonts and its settings there.
        os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))


@contextlib.contextmanager
def compile_in(folder: Path) -> Iterator[None]:
    """Context manager: let PyTorch compile in `folder`.

    By default it takes a folder named after the user, who may be unknown to the system. A compiler
    has temporary files of its own.
    """
    before = {name: os.environ.get(name) for name in _COMPILER_FOLDERS}
    os.environ.update(dict.fromkeys(_COMPILER_FOLDERS, str(folder)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
