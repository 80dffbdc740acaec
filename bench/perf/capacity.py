"""Number of streams that one machine serves: `emage-bench capacity`.

Searches for the largest number of speakers at 30 frames per second with p99 <= 100 ms from the
last audio sample of a frame to its poses. Processes share nothing; each has a pool and its share of
the speakers, so that many cores, or one GPU with many CPU cores, can be used fully.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from bench.perf.latency import read_speech
from bench.perf.load import BUDGET_S, LoadResult, StreamLoad, joined
from engine.bundle.io import DEFAULT_BUNDLE, DEMO_SOUND, Bundle, to_device
from engine.errors import ConfigError
from engine.generate.schedule import Schedule
from engine.generate.step import HopStep
from engine.kernels.buckets import BucketedKernel, batch_sizes
from engine.kernels.build_target import BuildTarget
from engine.kernels.eager import EagerKernel
from engine.kernels.from_bundle import staged_step
from engine.kernels.fused_step import BucketedStep
from engine.kernels.registry import make_kernel
from engine.model.fuse import fuse_for_inference
from engine.stream.build_step import FUSED_BACKENDS, fused_step
from engine.stream.calibration import kernel_spec
from engine.system.cache import cache_folder
from exporters.commands.common import load_bundle_for_cli, say
from exporters.commands.options import whole

_FINE = 0.04  # relative resolution of the search; runs differ by as much
_PATIENCE_S = 300.0


@dataclass(frozen=True)
class TrialSettings:
    """Settings of all trials."""

    model: Path
    wav: Path
    hop: int | None
    seconds: float
    processes: int = 1
    threads: int = 1
    device: str = "cpu"
    kernel: str = EagerKernel.name


def add_command(commands: Any) -> None:
    """Add the parser to those of emage-bench."""
    parser = commands.add_parser(
        "capacity", help="largest number of streams at 30 frames/s with p99 <= 100 ms"
    )
    parser.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    parser.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    parser.add_argument("--hop", type=whole(1), metavar="N", help="new frames per step")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of each trial")
    parser.add_argument(
        "--max", type=whole(1), default=4096, metavar="N", help="maximum number of streams"
    )
    parser.add_argument(
        "--only", type=whole(1), metavar="N", help="one trial with N streams, no search"
    )
    parser.add_argument(
        "--processes",
        type=int,
        metavar="P",
        help="processes that share the streams (default: one per core; one with a GPU)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="T",
        help="threads of each process (default: its share of the cores)",
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu (default) or cuda")
    parser.add_argument("--kernel", default=EagerKernel.name, metavar="NAME")


def capacity_command(options: argparse.Namespace) -> int:
    """Print a line per trial, and one line of JSON."""
    settings = read_settings(options, os.cpu_count() or 1)
    say(f"{'streams':>7s} {'p50':>7s} {'p99':>7s} {'missed':>7s} {'held':>6s} {'cores':>6s} batch")
    rows: list[dict[str, object]] = []

    def attempt(streams: int) -> bool:
        run = trial(settings, streams)
        rows.append(run.row())
        say(line(rows[-1]))
        return run.passed

    if options.only is not None:
        found = options.only if attempt(options.only) else 0
    else:
        found = largest(attempt, options.max)
    say(f"{found} streams within {BUDGET_S * 1000:.0f} ms")
    shown = {key: getattr(settings, key) for key in ("hop", "processes", "device", "kernel")}
    print(json.dumps({"streams": found, **shown, "trials": rows}))
    return 0


def read_settings(options: argparse.Namespace, cores: int) -> TrialSettings:
    """Settings from options on a machine with `cores`; ConfigError for a number below 1.

    On a CPU one process per core serves most streams, since processes do not wait for each other;
    on a GPU one process can put all streams into one batch.
    """
    for name in ("processes", "threads"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise ConfigError(f"--{name} takes a number from 1 on, got {number}")
    processes = options.processes or (cores if options.device == "cpu" else 1)
    return TrialSettings(
        options.model,
        options.wav,
        options.hop,
        options.seconds,
        processes,
        options.threads or max(1, cores // processes),
        options.device,
        options.kernel,
    )


def largest(passes: Callable[[int], bool], most: int) -> int:
    """Largest number up to `most` that passes, to a few percent; 0 if 1 does not."""
    good, bad = 0, most + 1
    while bad - good > max(1, int(_FINE * good)):
        middle = (good + bad) // 2 if bad <= most else min(max(1, 2 * good), most)
        if passes(middle):
            good = middle
        else:
            bad = middle
    return good


def line(row: dict[str, Any]) -> str:
    """A trial as text."""
    shown = row["latency_ms"] or {"p50": float("nan"), "p99": float("nan")}
    verdict = "" if row["passed"] else "  too many"
    return (
        f"{row['streams']:7d} {shown['p50']:7.1f} {shown['p99']:7.1f} {row['missed']:7d} "
        f"{row['held']:6d} {row['cores']:6.2f} {row['batch']:5.1f}{verdict}"
    )


def trial(settings: TrialSettings, streams: int) -> LoadResult:
    """Run `streams` speakers, divided among processes that start together."""
    shares = [streams // settings.processes] * settings.processes
    for extra in range(streams % settings.processes):
        shares[extra] += 1
    shares = [share for share in shares if share]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(shares))
    results, workers = [], []
    for number, share in enumerate(shares):
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(theirs, barrier, settings, share, number))
        worker.start()
        theirs.close()
        results.append(ours)
        workers.append(worker)
    try:
        return joined([_result(pipe) for pipe in results])
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _result(pipe: "Connection[Any, Any]") -> LoadResult:
    if not pipe.poll(_PATIENCE_S):
        raise RuntimeError("a process of the trial did not finish; see its error above")
    return pipe.recv()


def _work(
    pipe: "Connection[Any, Any]",
    barrier: Barrier,
    settings: TrialSettings,
    streams: int,
    number: int,
) -> None:
    """Body of one process with its own pool."""
    import torch

    bundle = load_bundle_for_cli(settings.model)
    # Loading sets one thread for small bundles, whose matrices are too small for more.
    torch.set_num_threads(min(settings.threads, torch.get_num_threads()))
    schedule = bundle.config.schedule.with_hop(settings.hop, None)
    step = pool_step(settings.kernel, bundle, schedule, streams)
    sound = read_speech(settings.wav, 60.0)
    load = StreamLoad(
        to_device(bundle, settings.device),
        streams,
        sound,
        schedule=schedule,
        step=step,
        seed=number,
    )
    load.warm_up()
    barrier.wait()
    pipe.send(load.run(settings.seconds))


def pool_step(name: str, bundle: Bundle, schedule: Schedule, most: int) -> HopStep | None:
    """Step for batches of up to `most` rows; None for eager, which takes any batch size."""
    if name == EagerKernel.name:
        return None
    target = BuildTarget(bundle, schedule, cache_folder())
    if name in FUSED_BACKENDS:
        steps = {n: fused_step(name, target, rows=n) for n in batch_sizes(most)}
        return BucketedStep(steps)
    kernels = {}
    for rows in batch_sizes(most):
        request = kernel_spec(target, rows=rows)
        kernels[rows] = make_kernel(name, fuse_for_inference(bundle.gesture), request)
    return staged_step(bundle, schedule, kernel=BucketedKernel(kernels))
