"""Progress reports of a training: console lines, loss log, TensorBoard curves."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence

from training.loop.checkpoint import LossLog
from training.loop.tensorboard import Board


class Progress:
    """Logs each step; prints and plots the means over the steps since the last report.

    first: first step of this run. log: None for processes that do not report.
    """

    def __init__(
        self,
        name: str,
        steps: int,
        first: int,
        log: LossLog | None = None,
        board: Board | None = None,
    ) -> None:
        self._name, self._steps, self._first = name, steps, first
        self._log, self._board = log, board
        self._rows: list[Mapping[str, float]] = []
        self._started = time.monotonic()

    def add(self, step: int, row: Mapping[str, float]) -> None:
        """Add the losses of a step."""
        self._rows.append(row)
        if self._log is not None:
            self._log.write(step, row)

    def show(self, done: int, max_s: float = math.inf) -> None:
        """Report after `done` steps; max_s: upper limit of the remaining time, seconds."""
        means = dict(_means(self._rows))
        self._rows.clear()
        if self._log is None:
            return
        self._log.flush()
        step_s = (time.monotonic() - self._started) / max(1, done - self._first)
        left_s = min(step_s * (self._steps - done), max(0.0, max_s))
        print(line(self._name, done, self._steps, means, step_s, left_s), flush=True)
        if self._board is not None:
            self._board.add(done, means)

    def flush(self) -> None:
        """Write the log to disk."""
        if self._log is not None:
            self._log.flush()

    def close(self) -> None:
        """Close the log and the curves."""
        if self._log is not None:
            self._log.close()
        if self._board is not None:
            self._board.close()


def line(
    name: str, done: int, steps: int, means: Mapping[str, float], step_s: float, left_s: float
) -> str:
    """Format `upper 200/5000 loss 0.31 plain 0.02 | 41 ms a step, 3 min left`."""
    shown = " ".join(f"{each} {value:.4g}" for each, value in means.items())
    return f"{name} {done}/{steps} {shown} | {1000 * step_s:.0f} ms a step, {duration(left_s)} left"


def duration(seconds: float) -> str:
    """Format a duration in seconds, minutes or hours, by its size."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _means(rows: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    """Mean of each name over the rows that have it, in the order of the last row."""
    for name in rows[-1] if rows else ():
        values = [row[name] for row in rows if name in row]
        yield name, sum(values) / len(values)
