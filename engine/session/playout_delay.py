"""PlayoutDelay: the wait of frames for a steady cadence, from measured lags. No clock.

The lag of a hop is the time from the capture of its last sample until its poses are ready. A delay
above the largest lag has no late frames; a much larger one only adds latency. The delay follows the
largest lags without the `_IGNORED` largest, so that a rare stall costs a held frame and not 30 s of
latency. It changes too slowly to be seen.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from engine.session.media_clock import QUICK_HOP_S, playout_margin_s
from engine.stream.input import Latency
from engine.stream.stream import GestureStream

_WARM_UP_HOPS: Final = 12
_PAUSE_S: Final = 0.01
_SLOW_FACTOR: Final = 1.25  # slow hops may take longer than the measured ones
_WINDOW: Final = 900  # hops considered: 30 s at hop 1
_MIN_HOPS: Final = 30  # before the delay may shrink
_IGNORED: Final = 2  # largest lags, which count as stalls
_GUARD_S: Final = 0.0025  # jitter of the threads beyond the measured lags
_SPREAD: Final = 0.25  # reserve beyond the largest lags, in units of their distance to the median
_RISE: Final = 0.05  # seconds a second
_FALL: Final = 0.005


class PlayoutDelay:
    """Seconds from the capture of a frame's last sample until the frame is due.

    algorithmic_s: latency of the schedule. start_s: the rest, before any measurement. max_s: upper
    bound of the rest, since more delay does not help a model slower than real time.
    """

    def __init__(self, algorithmic_s: float, start_s: float, max_s: float) -> None:
        self._algorithmic_s = algorithmic_s
        self.value_s = min(start_s, max_s)
        self._target_s = self.value_s
        self._max_s = max_s
        self._lags = np.zeros(_WINDOW)
        self._count = 0

    @property
    def total_s(self) -> float:
        """The whole delay."""
        return self._algorithmic_s + self.value_s

    def observe(self, lag_s: float) -> None:
        """Record the lag of one hop beyond the algorithmic latency, in seconds."""
        self._lags[self._count % _WINDOW] = lag_s
        self._count += 1
        wanted = needed_s(self._lags[: min(self._count, _WINDOW)])
        if self._count < _MIN_HOPS:
            wanted = max(wanted, self._target_s)
        self._target_s = min(wanted, self._max_s)

    def advance(self, seconds: float) -> None:
        """Move towards the wanted delay as far as `seconds` allow."""
        change = self._target_s - self.value_s
        self.value_s += max(-_FALL * seconds, min(_RISE * seconds, change))


def hop_cost(
    stream: GestureStream, now: Callable[[], float], pause: Callable[[float], object]
) -> float:
    """Measured upper estimate of a hop's seconds on this machine; also warms the stream up.

    pause: waits for a number of seconds. A hop after a pause, as live hops are, takes up to twice
    as long as one directly after another, because other programs have used the processor's caches.
    """
    snapshot, costs = stream.snapshot(), []
    for _ in range(_WARM_UP_HOPS):
        pause(_PAUSE_S)
        stream.feed_audio(np.zeros(stream.first_hop_samples, np.float32))
        begin = now()
        stream.next_chunk()
        costs.append(now() - begin)
    stream.restore(snapshot)
    cost_s = sorted(costs[2:])[-2]
    return cost_s if cost_s < QUICK_HOP_S else cost_s * _SLOW_FACTOR


def first_delay(latency: Latency, frame_rate: int, cost_s: float, outside_s: float) -> PlayoutDelay:
    """The initial delay, from the seconds of a hop and the delay of parts outside the stream."""
    # More delay does not help a hop that takes longer than it lasts.
    most = latency.hop_frames / frame_rate
    cost = min(cost_s, most)
    return PlayoutDelay(
        latency.algorithmic_ms / 1000,
        cost + playout_margin_s(cost) + outside_s,
        most + playout_margin_s(most) + outside_s,
    )


def needed_s(lags: np.ndarray) -> float:
    """The delay that hops with these lags `[N]` (seconds) need."""
    if len(lags) <= _IGNORED:
        return 0.0
    large = float(np.partition(lags, -1 - _IGNORED)[-1 - _IGNORED])
    spread = large - float(np.median(lags))
    return large + max(_GUARD_S, _SPREAD * spread)
