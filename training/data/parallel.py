"""Ordered map over jobs, in several processes if there are enough jobs."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

MIN_JOBS = 16
"""Number of jobs from which the start of processes pays off."""


def in_order(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Results of `work` in the order of the jobs; `work` must be a module-level function."""
    if workers == 1 or len(jobs) < MIN_JOBS:
        yield from map(work, jobs)
        return
    # Spawned: a fork of a process with PyTorch threads may deadlock.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        yield from pool.map(work, jobs, chunksize=4)
