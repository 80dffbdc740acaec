"""What `--kernel auto` takes: the fastest kernel for a model on this machine, tried once.

Knows what was tried before, and by which rule one is chosen. How hops are computed and timed is in
`exporters.commands.steps`; where files lie, in `exporters.commands.kernels`.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.bundle import Bundle
from engine.kernels.eager import EagerKernel
from engine.kernels.registry import KERNEL_NAMES
from engine.schedule import Schedule
from engine.threads import graph_threads
from exporters.commands.kernels import Say, machine, model_folder, window_shape

CANDIDATES: Final = ("cudagraph", "openvino", "openvino-bf16", "onnx")
_WORTHWHILE: Final = 0.95  # of the eager time; less gain is not worth another library


def fastest(times: Mapping[str, float]) -> str:
    """The kernel with the least time, of those with the eager one's; that, if little is gained."""
    best = min(times, key=lambda name: times[name])
    worth = times[best] <= _WORTHWHILE * times[EagerKernel.name]
    return best if worth else EagerKernel.name


def chosen_before(bundle: Bundle, schedule: Schedule) -> str | None:
    """The kernel that was the fastest on this machine; None where none was tried yet."""
    try:
        chosen = json.loads(_file(bundle, schedule).read_text(encoding="utf-8"))["kernel"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return chosen if chosen in KERNEL_NAMES else None


def remember(bundle: Bundle, schedule: Schedule, times: Mapping[str, float], say: Say) -> str:
    """Keep and say which kernel is the fastest by `times` (s), and name it."""
    path, best = _file(bundle, schedule), fastest(times)
    listed = {name: round(seconds * 1000, 3) for name, seconds in times.items()}
    told = ", ".join(f"{name} {ms:.1f} ms" for name, ms in listed.items())
    say(f"kernel auto: {best} ({told} a hop)")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        found = {"kernel": best, "machine": machine(), "ms": listed}
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError:
        pass  # nothing can be kept here: the next start tries again
    return best


def _file(bundle: Bundle, schedule: Schedule) -> Path:
    shape = window_shape(bundle, schedule)
    threads = graph_threads(bundle.gesture)
    key = hashlib.sha256(f"{machine()} {shape} {threads} of hops".encode())
    return model_folder(bundle) / f"auto_{key.hexdigest()[:16]}.json"
