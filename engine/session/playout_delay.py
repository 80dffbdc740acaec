"""PlayoutDelay: how long a frame waits for a steady cadence, from measured lags. No clock.

The lag of a hop is the time from the capture of its last sample until its poses are ready. A frame
that leaves later than the largest lags is never late; one that leaves much later is needlessly old.
The delay follows the largest lags but the `_IGNORED` largest, so that a rare stall costs a held
frame and not 30 s of latency. It changes slowly: a viewer does not see it.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from engine.session.media_clock import QUICK_S, margin_s
from engine.stream.input import Latency
from engine.stream.stream import GestureStream

_WARM_UP_HOPS: Final = 12
_PAUSE_S: Final = 0.01
_SLOW_VARY: Final = 1.25  # slow hops may take so much longer than those that were measured
_WINDOW: Final = 900  # hops that are looked at: 30 s at hop 1
_LEAST: Final = 30  # hops before the delay may shrink
_IGNORED: Final = 2  # largest lags that are taken for stalls
_GUARD_S: Final = 0.0025  # jitter of the threads beyond the measured lags
_SPREAD: Final = 0.25  # reserve beyond the largest lags, in units of their distance to the median
_RISE: Final = 0.05  # seconds a second
_FALL: Final = 0.005


class PlayoutDelay:
    """Seconds from the capture of a frame's last sample until the frame is due.

    algorithmic_s: the part that no machine can shorten. start_s: the rest before anything was
    measured. most_s: upper bound of the rest, as a model that is slower than real time cannot be
    waited for.
    """

    def __init__(self, algorithmic_s: float, start_s: float, most_s: float) -> None:
        self._algorithmic_s = algorithmic_s
        self.value_s = min(start_s, most_s)
        self._target_s = self.value_s
        self._most_s = most_s
        self._lags = np.zeros(_WINDOW)
        self._count = 0

    @property
    def total_s(self) -> float:
        """The whole delay."""
        return self._algorithmic_s + self.value_s

    def observe(self, lag_s: float) -> None:
        """Take the lag of one hop beyond the algorithmic latency, in seconds."""
        self._lags[self._count % _WINDOW] = lag_s
        self._count += 1
        wanted = needed_s(self._lags[: min(self._count, _WINDOW)])
        if self._count < _LEAST:
            wanted = max(wanted, self._target_s)
        self._target_s = min(wanted, self._most_s)

    def advance(self, seconds: float) -> None:
        """Move towards the wanted delay as far as `seconds` allow."""
        change = self._target_s - self.value_s
        self.value_s += max(-_FALL * seconds, min(_RISE * seconds, change))


def hop_cost(
    stream: GestureStream, now: Callable[[], float], pause: Callable[[float], object]
) -> float:
    """Seconds that a hop of `stream` takes here, on the safe side; also warms the stream up.

    pause: waits for so many seconds. A hop that follows a pause, as live ones do, takes up to twice
    as long as one that follows another, because other programs have used the processor's caches.
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
    return cost_s if cost_s < QUICK_S else cost_s * _SLOW_VARY


def first_delay(latency: Latency, frame_rate: int, cost_s: float, outside_s: float) -> PlayoutDelay:
    """The delay to begin with, where a hop takes `cost_s` and other parts hold back `outside_s`."""
    # A hop that takes longer than itself cannot be waited for: more delay would not help.
    most = latency.hop_frames / frame_rate
    cost = min(cost_s, most)
    return PlayoutDelay(
        latency.algorithmic_ms / 1000,
        cost + margin_s(cost) + outside_s,
        most + margin_s(most) + outside_s,
    )


def needed_s(lags: np.ndarray) -> float:
    """The delay that hops with these lags `[N]` (seconds) need."""
    if len(lags) <= _IGNORED:
        return 0.0
    large = float(np.partition(lags, -1 - _IGNORED)[-1 - _IGNORED])
    spread = large - float(np.median(lags))
    return large + max(_GUARD_S, _SPREAD * spread)
