"""The same work on many files, in several processes where it is worth their start."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

WORTH_PROCESSES = 16
"""Fewer jobs are done here sooner than processes have started."""


def in_order(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """`work` of every job, in the order of the jobs. `work` must be a function of a module."""
    if workers == 1 or len(jobs) < WORTH_PROCESSES:
        yield from map(work, jobs)
        return
    # Spawned: a fork of a process in which PyTorch has threads may wait for ever.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        yield from pool.map(work, jobs, chunksize=4)
