"""What `--kernel auto` takes: the fastest kernel for a model on this machine, tried once.

Knows what was tried before, and by which rule one is chosen. How hops are computed and timed is in
`exporters.commands.steps`; where files lie, in `exporters.commands.kernels`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine.bundle.io import Bundle
from engine.generate.schedule import Schedule
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import window_shape
from engine.kernels.registry import KERNEL_NAMES
from engine.system import cache
from engine.system.threads import graph_threads
from exporters.commands.kernels import Say, machine, model_folder

CANDIDATES: Final = ("cudagraph", "openvino", "openvino-bf16", "onnx")
_WORTHWHILE: Final = 0.95  # of the eager time; less gain is not worth another library


def fastest(times: Mapping[str, float]) -> str:
    """The kernel with the least time, of those with the eager one's; that, if little is gained."""
    best = min(times, key=lambda name: times[name])
    worth = times[best] <= _WORTHWHILE * times[EagerKernel.name]
    return best if worth else EagerKernel.name


@dataclass(frozen=True)
class Choice:
    """What `auto` found: the kernel, the times of all that were timed, why the others were not.

    ms: milliseconds a hop. untried: a reason by kernel.
    """

    kernel: str
    ms: dict[str, float]
    untried: dict[str, str]

    @property
    def line(self) -> str:
        """The choice as one line."""
        times = ", ".join(f"{name} {ms:.1f} ms" for name, ms in self.ms.items())
        names: dict[str, list[str]] = {}
        for name, reason in self.untried.items():
            names.setdefault(reason, []).append(name)
        left = "; ".join(f"{', '.join(some)} ({reason})" for reason, some in names.items())
        return f"kernel auto: {self.kernel} ({times} a hop)" + (left and f"; not timed: {left}")


def chosen(times: Mapping[str, float], untried: Mapping[str, str]) -> Choice:
    """The choice by `times` (s) of a hop."""
    ms = {name: round(seconds * 1000, 3) for name, seconds in times.items()}
    return Choice(fastest(times), ms, dict(untried))


def remembered(bundle: Bundle, schedule: Schedule) -> Choice | None:
    """What was chosen on this machine for this model and schedule; None if nothing was."""
    data = cache.read(_file(bundle, schedule))
    try:
        found = None if data is None else Choice(**json.loads(bytes(data)))
    except (ValueError, TypeError):
        return None
    return found if found is not None and found.kernel in KERNEL_NAMES else None


def remember(bundle: Bundle, schedule: Schedule, choice: Choice, say: Say) -> None:
    """Keep a choice, where something can be kept."""
    cache.write(_file(bundle, schedule), json.dumps(asdict(choice), indent=1).encode(), say)


def _file(bundle: Bundle, schedule: Schedule) -> Path | None:
    folder, shape = model_folder(bundle), window_shape(bundle, schedule)
    key = f"{machine()} {shape} {schedule} {graph_threads(bundle.gesture)} of hops"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return None if folder is None else folder / f"auto_{digest}.json"
