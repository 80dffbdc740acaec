"""Pace: when each sample was, or is taken to have been, heard. Arithmetic on given times only.

A microphone stamps its blocks; its origin follows the stamps slowly, so that two clocks may drift.
A file has no time of its own: it starts when reading starts. A pipe may be either: sound that was
already waiting when we came counts as heard just now if the sender then goes on in real time.
"""

import math
from typing import Final

from engine.audio import SAMPLE_RATE

_FOLLOW: Final = 0.005  # of the difference, a block: two seconds at 10 ms a block
_JUMP_S: Final = 0.05  # a larger difference is a gap, not drift
PATIENCE_S: Final = 0.15  # sound later than this is taken for lost and silence stands in for it
_LEAST_MARGIN_S: Final = 0.010  # also of all hops that take less than QUICK_S
QUICK_S: Final = 0.020
_SLOW_MARGIN_S: Final = 0.030  # of hops that take longer than that themselves
_SLOW_MOST_S: Final = 0.040  # of these, where cost and reserve together stay below _SOON_S
_SOON_S: Final = 0.081


def margin_s(cost_s: float) -> float:
    """Reserve of the cadence beyond the cost of a hop, for slow hops and the scheduler's jitter.

    The longer a hop takes, the more other work can delay it.
    """
    if cost_s < QUICK_S:
        return _LEAST_MARGIN_S
    slow = max(_SLOW_MARGIN_S, min(_SLOW_MOST_S, _SOON_S - cost_s))
    return max(_LEAST_MARGIN_S, min(cost_s, slow))


class MediaClock:
    """Maps sample indices to seconds of a monotonic clock. `origin_s` is sample 0's time."""

    def __init__(self, *, stamped: bool) -> None:
        self._stamped = stamped
        self.origin_s = math.nan
        self.received = 0

    @property
    def started(self) -> bool:
        """Whether the first sound has come."""
        return not math.isnan(self.origin_s)

    def begin(self, first_heard_s: float) -> None:
        """The stream's first sample was heard at `first_heard_s`."""
        self.origin_s = first_heard_s

    def heard_s(self, sample: int) -> float:
        """When the sound before `sample` was complete."""
        return self.origin_s + sample / SAMPLE_RATE

    def take(self, count: int, captured_at: float) -> None:
        """`count` more samples came, the last heard at `captured_at` (NaN: exactly when due)."""
        self.received += count
        if not self._stamped or math.isnan(captured_at):
            return
        difference = captured_at - self.heard_s(self.received)
        self.origin_s += difference * (1.0 if abs(difference) > _JUMP_S else _FOLLOW)

    def missing(self, now_s: float) -> int:
        """Samples that should have come by now and are overdue, 0 while there is still hope."""
        overdue_s = now_s - self.heard_s(self.received)
        return int(overdue_s * SAMPLE_RATE) if overdue_s > PATIENCE_S else 0
