"""How many avatars one machine moves: `emage-bench capacity`.

The largest number of speakers at 30 frames a second with p99 <= 100 ms from the last sample of a
frame's sound to the frame, found by trying. Processes share nothing: each has a pool and its part
of the speakers, so that many cores, or one graphics card with many cores beside it, can be filled.
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
from engine.model.fuse import lean
from engine.stream.build_step import FUSED_BACKENDS, fused_step
from engine.stream.calibration import kernel_request
from engine.system.cache import cache_folder
from exporters.commands.common import load_bundle_for_cli, say
from exporters.commands.options import whole

_FINE = 0.04  # of the number found: nearer is within what two runs differ by
_PATIENCE_S = 300.0


@dataclass(frozen=True)
class Setting:
    """What all trials share."""

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
        "capacity", help="the largest number of streams at 30 frames/s with p99 <= 100 ms"
    )
    parser.add_argument("--model", type=Path, default=DEFAULT_BUNDLE, metavar="DIR")
    parser.add_argument("--wav", type=Path, default=DEMO_SOUND, metavar="FILE")
    parser.add_argument("--hop", type=whole(1), metavar="N", help="new frames per step")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of each trial")
    parser.add_argument("--max", type=whole(1), default=4096, metavar="N", help="streams at most")
    parser.add_argument(
        "--only", type=whole(1), metavar="N", help="one trial with N streams, no search"
    )
    parser.add_argument(
        "--processes",
        type=int,
        metavar="P",
        help="share the streams (default: one for each core; one with a graphics card)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="T",
        help="of each process (default: its share of the cores)",
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu (default) or cuda")
    parser.add_argument("--kernel", default=EagerKernel.name, metavar="NAME")


def capacity_command(options: argparse.Namespace) -> int:
    """Print a line a trial, and one line of JSON."""
    setting = setting_of(options, os.cpu_count() or 1)
    say(f"{'streams':>7s} {'p50':>7s} {'p99':>7s} {'missed':>7s} {'held':>6s} {'cores':>6s} batch")
    rows: list[dict[str, object]] = []

    def attempt(streams: int) -> bool:
        run = trial(setting, streams)
        rows.append(run.row())
        say(line(rows[-1]))
        return run.passed

    if options.only is not None:
        found = options.only if attempt(options.only) else 0
    else:
        found = largest(attempt, options.max)
    say(f"{found} streams within {BUDGET_S * 1000:.0f} ms")
    shown = {key: getattr(setting, key) for key in ("hop", "processes", "device", "kernel")}
    print(json.dumps({"streams": found, **shown, "trials": rows}))
    return 0


def setting_of(options: argparse.Namespace, cores: int) -> Setting:
    """What the options ask for on a machine with so many cores; ConfigError for no number.

    Processes wait for each other nowhere, so that one for each core moves the most avatars; a
    graphics card wants all of them in one batch.
    """
    for name in ("processes", "threads"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise ConfigError(f"--{name} takes a number from 1 on, got {number}")
    processes = options.processes or (cores if options.device == "cpu" else 1)
    return Setting(
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
    """The largest number up to `most` that passes, to a few percent; 0 where 1 does not."""
    good, bad = 0, most + 1
    while bad - good > max(1, int(_FINE * good)):
        middle = (good + bad) // 2 if bad <= most else min(max(1, 2 * good), most)
        if passes(middle):
            good = middle
        else:
            bad = middle
    return good


def line(row: dict[str, Any]) -> str:
    """A trial for people."""
    shown = row["latency_ms"] or {"p50": float("nan"), "p99": float("nan")}
    verdict = "" if row["passed"] else "  too many"
    return (
        f"{row['streams']:7d} {shown['p50']:7.1f} {shown['p99']:7.1f} {row['missed']:7d} "
        f"{row['held']:6d} {row['cores']:6.2f} {row['batch']:5.1f}{verdict}"
    )


def trial(setting: Setting, streams: int) -> LoadResult:
    """Run `streams` speakers, shared out among processes that begin together."""
    shares = [streams // setting.processes] * setting.processes
    for extra in range(streams % setting.processes):
        shares[extra] += 1
    shares = [share for share in shares if share]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(shares))
    results, workers = [], []
    for number, share in enumerate(shares):
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(theirs, barrier, setting, share, number))
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
        raise RuntimeError("a process of the trial gives no answer; see its error above")
    return pipe.recv()


def _work(
    pipe: "Connection[Any, Any]", barrier: Barrier, setting: Setting, streams: int, number: int
) -> None:
    """One process: a pool of its own."""
    import torch

    bundle = load_bundle_for_cli(setting.model)
    # Matrices of small bundles are too small for more than one, which loading has set.
    torch.set_num_threads(min(setting.threads, torch.get_num_threads()))
    schedule = bundle.config.schedule.with_hop(setting.hop, None)
    step = pool_step(setting.kernel, bundle, schedule, streams)
    sound = read_speech(setting.wav, 60.0)
    crowd = StreamLoad(
        to_device(bundle, setting.device),
        streams,
        sound,
        schedule=schedule,
        step=step,
        seed=number,
    )
    crowd.warm_up()
    barrier.wait()
    pipe.send(crowd.run(setting.seconds))


def pool_step(name: str, bundle: Bundle, schedule: Schedule, most: int) -> HopStep | None:
    """The step for batches of up to `most` rows; None for the eager kernel, which takes any."""
    if name == EagerKernel.name:
        return None
    target = BuildTarget(bundle, schedule, cache_folder())
    if name in FUSED_BACKENDS:
        steps = {n: fused_step(name, target, rows=n) for n in batch_sizes(most)}
        return BucketedStep(steps)
    kernels = {}
    for rows in batch_sizes(most):
        request = kernel_request(target, rows=rows)
        kernels[rows] = make_kernel(name, lean(bundle.gesture), request)
    return staged_step(bundle, schedule, kernel=BucketedKernel(kernels))
