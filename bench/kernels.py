"""Kernels against the eager one: `emage-bench kernels`.

Each is made as the live command makes it and must pass the same gate; then it is compared and
timed on random windows and on windows of real speech, all kernels in turn within one run, so that
whatever else the machine does falls on all of them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.official import write_random_audio_layout
from engine.bundle import DEFAULT_BUNDLE, Bundle
from engine.errors import KernelError
from engine.kernels.base import Kernel, WindowInputs
from engine.kernels.eager import EagerKernel
from engine.kernels.flat import draw_window
from engine.kernels.parity import Parity, measure
from engine.kernels.registry import BACKEND_NAMES, Request, make_kernel
from engine.model.lean import lean
from exporters.commands.common import load_for_use, say
from exporters.commands.kernels import CLIP, kernel_request, real_windows

_WINDOWS = 24


@dataclass(frozen=True)
class Row:
    """One kernel; error and codes: see `engine.kernels.parity.Parity`. ratio: of the eager p50.

    made_s: until it was ready. reason: why there are no numbers.
    """

    name: str
    made_s: float = 0.0
    random_error: float = 0.0
    random_codes: float = 1.0
    real_error: float = 0.0
    real_codes: float = 1.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    ratio: float = 1.0
    reason: str = ""


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "kernels", help="each kernel against the eager one: parity and time, in one run"
    )
    parser.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    parser.add_argument(
        "--full-size", action="store_true", help="random weights in the layout of 2025 instead"
    )
    parser.add_argument(
        "--kernel", nargs="+", default=list(BACKEND_NAMES), metavar="NAME", help="default: all"
    )
    parser.add_argument("--hop", type=int, metavar="N", help="frames taken of a window")
    parser.add_argument("--rows", type=int, default=1, metavar="N", help="streams in a batch")
    parser.add_argument("--threads", type=int, metavar="N", help="default: as when live")
    parser.add_argument("--repeats", type=int, default=30, metavar="N")
    parser.add_argument("--wav", type=Path, default=CLIP, metavar="FILE", help="real speech")


def kernels_command(options: argparse.Namespace) -> int:
    """Print the table and one line of JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model
        if options.full_size:
            folder = Path(scratch) / "random"
            write_random_audio_layout(folder)
        bundle = load_for_use(folder)
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = compare_kernels(bundle, options)
    print(table(rows))
    threads = torch.get_num_threads()
    listed = [asdict(row) for row in rows]
    print(json.dumps({"bundle": bundle.config.name, "threads": threads, "kernels": listed}))
    return 0


def compare_kernels(bundle: Bundle, options: argparse.Namespace) -> list[Row]:
    """One row a kernel, eager first."""
    schedule = bundle.config.schedule.with_hop(options.hop, None)
    request = kernel_request(bundle, schedule, say, rows=options.rows)
    real = repeated(real_windows(bundle, schedule, _WINDOWS, options.wav), options.rows)
    eager = EagerKernel(bundle.gesture, schedule.newest)
    ready: dict[str, Kernel] = {eager.name: eager}
    rows = {eager.name: Row(eager.name)}
    for name in options.kernel:
        if name != eager.name:
            rows[name] = _made(name, bundle, request, real, ready)
    times = in_turn(ready, real, options.repeats)
    base = float(np.median(times[eager.name]))
    return [_timed(row, times[name], base) if name in times else row for name, row in rows.items()]


def repeated(windows: Sequence[WindowInputs], rows: int) -> list[WindowInputs]:
    """The same windows in batches of `rows`, each row another one."""
    turned = [[windows[(i + r) % len(windows)] for r in range(rows)] for i in range(len(windows))]
    return [WindowInputs(*(torch.cat(x) for x in zip(*some, strict=True))) for some in turned]


def _made(
    name: str,
    bundle: Bundle,
    request: Request,
    real: Sequence[WindowInputs],
    ready: dict[str, Kernel],
) -> Row:
    """Make and compare; the kernel joins `ready` if it matches."""
    begin = time.perf_counter()
    try:
        kernel = make_kernel(name, lean(bundle.gesture), request)
    except KernelError as error:
        return Row(name, reason=str(error))
    made_s = time.perf_counter() - begin
    ready[name] = kernel
    eager = ready[EagerKernel.name]
    generator = torch.Generator().manual_seed(7)
    drawn = [draw_window(request.shape, generator) for _ in range(2)]
    on_random: Parity = measure(kernel, eager, drawn)
    on_real: Parity = measure(kernel, eager, real)
    found = (on_random.error, on_random.codes, on_real.error, on_real.codes)
    return Row(name, round(made_s, 2), *found)


def in_turn(
    kernels: dict[str, Kernel], windows: Sequence[WindowInputs], repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of each forward pass, one of each kernel after the other."""
    times: dict[str, list[float]] = {name: [] for name in kernels}
    for turn in range(repeats + 2):
        for name, kernel in kernels.items():
            # Twice: the first finds the caches as the kernel before left them, as no live one does.
            kernel(windows[turn % len(windows)])
            times[name].append(_milliseconds(kernel, windows[(turn + 1) % len(windows)]))
    return {name: found[2:] for name, found in times.items()}


def _milliseconds(kernel: Callable[[WindowInputs], object], window: WindowInputs) -> float:
    begin = time.perf_counter()
    kernel(window)
    return (time.perf_counter() - begin) * 1000


def _timed(row: Row, times: Sequence[float], base: float) -> Row:
    p50, p95 = np.percentile(times, [50, 95])
    found = {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3)}
    return Row(**{**asdict(row), **found, "ratio": round(float(p50) / base, 4)})


def table(rows: Sequence[Row]) -> str:
    """For people; errors are |got - expected| / |expected| of the worst output."""
    lines = [
        f"{'':16s}{'p50':>9s}{'p95':>9s}{'ratio':>8s}   {'random: error, codes':22s}"
        f"{'real: error, codes':20s}{'made in':>9s}"
    ]
    for row in rows:
        if row.reason:
            lines.append(f"{row.name:16s}{'-':>6s}   {row.reason}")
            continue
        lines.append(
            f"{row.name:16s}{row.p50_ms:6.2f} ms{row.p95_ms:6.2f} ms{row.ratio:8.3f}   "
            f"{row.random_error:8.1e} {row.random_codes:7.2%}      "
            f"{row.real_error:8.1e} {row.real_codes:7.2%}{row.made_s:9.1f} s"
        )
    return "\n".join(lines)
