"""What a running training says of itself: lines, the loss log, curves. Knows no network."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence

from training.loop.checkpoint import LossLog
from training.loop.tensorboard import Board


class Progress:
    """Each step into `log`; means over the steps since the last line as a line and on `board`.

    first: the step that this run began with. Without a log nothing is printed either.
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
        self._began = time.monotonic()

    def add(self, step: int, row: Mapping[str, float]) -> None:
        """The losses of a step."""
        self._rows.append(row)
        if self._log is not None:
            self._log.write(step, row)

    def show(self, done: int, most_s: float = math.inf) -> None:
        """Say how it stands after `done` steps; most_s: the time left if the steps do not end."""
        means = dict(_means(self._rows))
        self._rows.clear()
        if self._log is None:
            return
        self._log.flush()
        pace_s = (time.monotonic() - self._began) / max(1, done - self._first)
        left_s = min(pace_s * (self._steps - done), max(0.0, most_s))
        print(line(self._name, done, self._steps, means, pace_s, left_s), flush=True)
        if self._board is not None:
            self._board.add(done, means)

    def flush(self) -> None:
        """Put the log on disk."""
        if self._log is not None:
            self._log.flush()

    def close(self) -> None:
        """End of the log and of the curves."""
        if self._log is not None:
            self._log.close()
        if self._board is not None:
            self._board.close()


def line(
    name: str, done: int, steps: int, means: Mapping[str, float], pace_s: float, left_s: float
) -> str:
    """`upper 200/5000 loss 0.31 plain 0.02 | 41 ms a step, 3 min left`."""
    shown = " ".join(f"{each} {value:.4g}" for each, value in means.items())
    return f"{name} {done}/{steps} {shown} | {1000 * pace_s:.0f} ms a step, {duration(left_s)} left"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever is read most easily."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _means(rows: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    """The mean of each name over the rows that have it, in the order of the last row."""
    for name in rows[-1] if rows else ():
        values = [row[name] for row in rows if name in row]
        yield name, sum(values) / len(values)
