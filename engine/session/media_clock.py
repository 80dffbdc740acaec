"""MediaClock: the capture time of each sample. Arithmetic on given times only.

A microphone stamps its blocks; the origin follows the stamps slowly, so that two clocks may drift.
A file starts when reading starts. A pipe may be either: audio that was already waiting counts as
captured just now if the sender then goes on in real time.
"""

import math
from typing import Final

from engine.audio import SAMPLE_RATE

_FOLLOW: Final = 0.005  # of the difference, a block: two seconds at 10 ms a block
_JUMP_S: Final = 0.05  # a larger difference is a gap, not drift
UNDERRUN_AFTER_S: Final = 0.15  # audio later than this is replaced by silence
_MIN_MARGIN_S: Final = 0.010  # also of all hops that take less than QUICK_HOP_S
QUICK_HOP_S: Final = 0.020
_SLOW_MARGIN_S: Final = 0.030  # of hops that take longer than that themselves
_MAX_SLOW_MARGIN_S: Final = 0.040  # of these, where cost and reserve stay below _MAX_SLOW_SUM_S
_MAX_SLOW_SUM_S: Final = 0.081


def playout_margin_s(cost_s: float) -> float:
    """Reserve of the playout beyond the cost of a hop, for slow hops and scheduling jitter.

    The longer a hop takes, the more other work can delay it.
    """
    if cost_s < QUICK_HOP_S:
        return _MIN_MARGIN_S
    slow = max(_SLOW_MARGIN_S, min(_MAX_SLOW_MARGIN_S, _MAX_SLOW_SUM_S - cost_s))
    return max(_MIN_MARGIN_S, min(cost_s, slow))


class MediaClock:
    """Maps sample indices to seconds of a monotonic clock. `origin_s` is sample 0's time."""

    def __init__(self, *, stamped: bool) -> None:
        self._stamped = stamped
        self.origin_s = math.nan
        self.received = 0

    @property
    def started(self) -> bool:
        """Whether the first audio has arrived."""
        return not math.isnan(self.origin_s)

    def begin(self, first_captured_s: float) -> None:
        """Set the capture time of the stream's first sample."""
        self.origin_s = first_captured_s

    def captured_s(self, sample: int) -> float:
        """Capture time of the audio before `sample`."""
        return self.origin_s + sample / SAMPLE_RATE

    def advance(self, count: int, captured_at: float) -> None:
        """Count received samples, the last captured at `captured_at` (NaN: exactly when due)."""
        self.received += count
        if not self._stamped or math.isnan(captured_at):
            return
        difference = captured_at - self.captured_s(self.received)
        self.origin_s += difference * (1.0 if abs(difference) > _JUMP_S else _FOLLOW)

    def overdue_samples(self, now_s: float) -> int:
        """Samples overdue by more than UNDERRUN_AFTER_S; 0 before that."""
        overdue_s = now_s - self.captured_s(self.received)
        return int(overdue_s * SAMPLE_RATE) if overdue_s > UNDERRUN_AFTER_S else 0
