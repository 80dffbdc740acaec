"""Kernels against the eager one: `emage-bench kernels`.

Each is made as the live command makes it and must pass the same gate; then it is compared and
timed on random windows and on windows of real speech, all kernels in turn within one run, so that
whatever else the machine does falls on all of them. A live step (features, kernel, choice of codes,
decoding) is set beside what the published program does for a window: all its frames, forward and
decoded, by the plain network.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.export.random_checkpoints import write_random_audio_layout
from bench.perf.latency import read_speech
from engine.bundle.io import DEFAULT_BUNDLE, DEMO_SOUND, DEMO_WORDS, Bundle
from engine.errors import KernelError
from engine.generate.sampling import CodeSelection
from engine.kernels.build_target import BuildTarget
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import pose_decoder
from engine.kernels.parity import Parity, measure, relative_error
from engine.kernels.registry import BACKEND_NAMES, Request, make_kernel
from engine.kernels.window_graph import draw_window
from engine.model.fuse import lean
from engine.model.types import Kernel, WindowInputs, WindowOutputs
from engine.motion.skeleton import BodyPart
from engine.stream.build_step import build_step
from engine.stream.calibration import batch_windows, kernel_request, record_windows
from engine.stream.stream import GestureStream
from engine.system.cache import cache_folder
from engine.system.threads import computes_outside
from exporters.commands.common import load_bundle_for_cli, say
from exporters.commands.options import whole

_WINDOWS = 64
_TIMED = 32  # windows, in turn
_WHOLE = "whole window"


@dataclass(frozen=True)
class Row:
    """One kernel. Errors are |got - expected| / |expected| over all windows, of the worst part;
    codes: the share whose best-scored class is the same, as the gate asks; picked: of the codes
    that the engine picks when it does not draw, some by the nearest latent, where like codes lie
    close. ratio: of the eager p50; step_ratio: of the p50 of a whole window, decoded. made_s: until
    ready. reason: why there are no numbers.
    """

    name: str
    made_s: float = 0.0
    random_error: float = 0.0
    random_codes: float = 1.0
    real_latents: float = 0.0
    real_codes: float = 1.0
    real_picked: float = 1.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    ratio: float = 1.0
    step_p50_ms: float = 0.0
    step_p95_ms: float = 0.0
    step_ratio: float = 0.0
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
    parser.add_argument("--hop", type=whole(1), metavar="N", help="frames taken of a window")
    parser.add_argument("--rows", type=whole(1), default=1, metavar="N", help="streams in a batch")
    parser.add_argument("--threads", type=whole(1), metavar="N", help="default: as when live")
    parser.add_argument("--repeats", type=whole(1), default=30, metavar="N")
    parser.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE", help="real speech")


def kernels_command(options: argparse.Namespace) -> int:
    """Print the table and one line of JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model
        if options.full_size:
            folder = Path(scratch) / "random"
            write_random_audio_layout(folder)
        bundle = load_bundle_for_cli(folder)
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
    target = BuildTarget(bundle, schedule, cache_folder(), say)
    request, clip = kernel_request(target, rows=options.rows), (options.wav, DEMO_WORDS)
    real = batch_windows(record_windows(target, _WINDOWS, clip), options.rows)
    eager = EagerKernel(lean(bundle.gesture), schedule.newest)
    ready: dict[str, Kernel] = {eager.name: eager}
    rows = {eager.name: Row(eager.name)}
    for name in options.kernel:
        if name != eager.name:
            rows[name] = _made(name, target, request, real, ready)
    # One hop apart, as live ones are: some kernels keep what the window before had too.
    live = batch_windows(record_windows(target, _TIMED, clip, stride=1), options.rows)
    calls = {name: _turning(kernel, live) for name, kernel in ready.items()}
    times = in_turn(calls, options.repeats)
    steps = in_turn(_steps(target, ready, real, options), options.repeats)
    return [
        _timed(row, times, steps) if row.name in (*times, *steps) else row
        for row in (*rows.values(), Row(_WHOLE))
    ]


def _made(
    name: str,
    target: BuildTarget,
    request: Request,
    real: Sequence[WindowInputs],
    ready: dict[str, Kernel],
) -> Row:
    """Make and compare; the kernel joins `ready` if it matches."""
    begin = time.perf_counter()
    try:
        kernel = make_kernel(name, lean(target.bundle.gesture), request)
    except KernelError as error:
        return Row(name, reason=str(error))
    made_s = time.perf_counter() - begin
    ready[name] = kernel
    eager = ready[EagerKernel.name]
    generator = torch.Generator().manual_seed(7)
    drawn = [draw_window(request.shape, generator) for _ in range(2)]
    on_random: Parity = measure(kernel, eager, drawn)
    found = (on_random.error, on_random.codes, *on_speech(target.bundle, kernel, eager, real))
    return Row(name, round(made_s, 2), *found)


def on_speech(
    bundle: Bundle, kernel: Kernel, eager: Kernel, windows: Sequence[WindowInputs]
) -> tuple[float, float, float]:
    """How far latents of the worst part are off; the shares of equal classes and picked codes."""
    pairs = [(eager(window), kernel(window)) for window in windows]
    errors, equal, alike = [], [], []
    for p, part in enumerate(BodyPart):
        expected, got = (torch.cat([pair[i].latents[p] for pair in pairs]) for i in (0, 1))
        errors.append(relative_error(expected, got))
        equal += [a.logits[p].argmax(-1) == b.logits[p].argmax(-1) for a, b in pairs]
        alike += [picked(bundle, part, a) == picked(bundle, part, b) for a, b in pairs]
    return max(errors), _share(equal), _share(alike)


def _share(found: Sequence[torch.Tensor]) -> float:
    return float(torch.cat([each.flatten() for each in found]).double().mean())


def picked(bundle: Bundle, part: BodyPart, outputs: WindowOutputs) -> torch.Tensor:
    """The codes `[B, n]` that the engine picks for a part when it does not draw."""
    p, vae = list(BodyPart).index(part), bundle.parts[part]
    if bundle.config.code_selection.get(part) is CodeSelection.NEAREST_LATENT:
        return vae.nearest(outputs.latents[p])
    return vae.codes_from_classes(outputs.logits[p].argmax(-1), outputs.latents[p])


def _turning(kernel: Kernel, windows: Sequence[WindowInputs]) -> Callable[[], object]:
    """Another window with every call."""
    turn = cycle(windows)
    return lambda: kernel(next(turn))


def _steps(
    target: BuildTarget,
    ready: dict[str, Kernel],
    windows: Sequence[WindowInputs],
    options: argparse.Namespace,
) -> dict[str, Callable[[], object]]:
    """A live step of each kernel, and the whole window that the published program computes."""
    bundle, schedule = target.bundle, target.schedule
    sound = read_speech(options.wav, (options.repeats + 20) * schedule.hop * 2 / 30 + 1)
    calls: dict[str, Callable[[], object]] = {}
    threads = torch.get_num_threads()
    for name in ready if options.rows == 1 else ():
        step = build_step(name, target)
        stream = GestureStream(bundle, step=step, schedule=schedule, threads=threads)
        stream.feed_audio(sound)
        calls[name] = as_live(name, stream.next_chunk)
    plain, decoder = EagerKernel(bundle.gesture), pose_decoder(bundle)
    turn = cycle(windows)

    def whole() -> object:
        outputs = plain(next(turn))
        codes = torch.stack([picked(bundle, part, outputs) for part in BodyPart], 1)
        return decoder.decode(codes, codes.shape[2])

    calls[_WHOLE] = whole
    return calls


def as_live(name: str, step: Callable[[], object]) -> Callable[[], object]:
    """`step` with the threads that it has in emage-live, and not those of its neighbours here."""
    threads = torch.get_num_threads()

    def call() -> object:
        if computes_outside(name):
            torch.set_num_threads(1)
        try:
            return step()
        finally:
            torch.set_num_threads(threads)

    return call


def in_turn(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each call, one of each after the other."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 2):
        for name, call in calls.items():
            # Twice: the first finds the caches as the call before left them, as no live one does.
            call()
            times[name].append(_milliseconds(call))
    return {name: found[2:] for name, found in times.items()}


def _milliseconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def _timed(row: Row, times: dict[str, list[float]], steps: dict[str, list[float]]) -> Row:
    found = asdict(row)
    if row.name in times:
        base = float(np.median(times[EagerKernel.name]))
        p50, p95 = np.percentile(times[row.name], [50, 95])
        found |= {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3)}
        found["ratio"] = round(float(p50) / base, 4)
    if row.name in steps:
        base = float(np.median(steps[_WHOLE]))
        p50, p95 = np.percentile(steps[row.name], [50, 95])
        found |= {"step_p50_ms": round(float(p50), 3), "step_p95_ms": round(float(p95), 3)}
        found["step_ratio"] = round(float(p50) / base, 4)
    return Row(**found)


def table(rows: Sequence[Row]) -> str:
    """For people."""
    lines = [
        f"{'':15s}{'kernel p50':>12s}{'p95':>8s}{'ratio':>7s}{'step p50':>11s}{'p95':>8s}"
        f"{'ratio':>7s}   {'random: error, codes':21s} {'speech: latents, codes, picked':31s}"
        f"{'made':>7s}"
    ]
    for row in rows:
        if row.reason:
            lines.append(f"{row.name:15s}{'-':>12s}   {row.reason}")
            continue
        step = f"{row.step_p50_ms:8.2f} ms{row.step_p95_ms:8.2f}{row.step_ratio:7.3f}"
        if row.name == _WHOLE:
            lines.append(f"{row.name:15s}{'':27s}{step}   forward and decoded, all frames")
            continue
        lines.append(
            f"{row.name:15s}{row.p50_ms:9.2f} ms{row.p95_ms:8.2f}{row.ratio:7.3f}{step}   "
            f"{row.random_error:9.1e} {row.random_codes:8.2%}    "
            f"{row.real_latents:9.1e} {row.real_codes:9.2%} {row.real_picked:8.2%}"
            f"  {row.made_s:7.1f} s"
        )
    return "\n".join(lines)
