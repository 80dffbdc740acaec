"""Clocks of a session: a monotonic clock with a speed factor, and one without pauses.

A speed above 1 is for accelerated soak tests: audio arrives, frames leave and waits end sooner by
that factor, while computing takes as long as before.
"""

import math
import time
from collections.abc import Callable
from threading import Event, Lock
from typing import Final

_PAUSE_S: Final = 0.5  # real seconds; threads read the clock every 33 ms


class SessionClock:
    """Monotonic clock that runs `speed` times as fast as real time."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed

    def now(self) -> float:
        """Seconds since an arbitrary origin."""
        return time.monotonic() * self.speed

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait for `event`, at most `seconds`; whether it is set."""
        return event.wait(seconds / self.speed)


class SessionTime:
    """A clock without the time in which this process was stopped.

    A live session reads the time all the while. If more than half a second passes between two
    readings from any thread, the process was stopped or the machine was suspended: the session's
    time goes on from the earlier reading. All threads get the same time.

    paused: called with the seconds that are left out, by the thread that detects the pause.
    """

    def __init__(self, host: SessionClock, paused: Callable[[float], None] | None = None) -> None:
        self._host, self._paused = host, paused
        self._lock = Lock()
        self._last = math.nan  # of the host; NaN: not watching
        self._left_out = self._left_out_before = 0.0
        self._resumed = -math.inf  # of the host

    @property
    def resumed_s(self) -> float:
        """When the session last went on after a pause; minus infinity before the first."""
        with self._lock:
            return self._resumed - self._left_out

    def watch(self) -> None:
        """Leave out pauses from now on; the time must be read often from here on."""
        self._last = self._host.now()

    def now(self) -> float:
        """Seconds since an arbitrary origin."""
        left_out = 0.0
        with self._lock:
            now = self._host.now()
            gap = now - self._last
            if gap > _PAUSE_S * self._host.speed:
                left_out = gap
                self._left_out_before, self._resumed = self._left_out, now
                self._left_out += gap
            if not math.isnan(self._last):
                self._last = now
            seconds = now - self._left_out
        if left_out and self._paused is not None:
            self._paused(left_out)
        return seconds

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait for `event`, at most `seconds`; whether it is set."""
        return self._host.wait(event, seconds)

    def of(self, host_s: float) -> float:
        """Session time of a time of the host clock, such as a capture time."""
        self.now()  # detects a pause that no thread has detected yet
        with self._lock:
            if host_s >= self._resumed:
                return host_s - self._left_out
            return min(host_s - self._left_out_before, self._resumed - self._left_out)

    def of_host(self, seconds: float) -> float:
        """Host time of a session time, such as a due time."""
        with self._lock:
            return seconds + self._left_out
