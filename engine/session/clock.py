"""HostTime: the seconds of this machine as a live session lives them, possibly faster.

A session at four times the speed is the session of a machine whose day is six hours long: sound
comes, frames leave and waits end four times as soon, and computing seems to take four times as
long. For endurance runs; everything in real time has a speed of 1.
"""

import math
import time
from collections.abc import Callable
from threading import Event, Lock
from typing import Final

_PAUSE_S: Final = 0.5  # real seconds; threads that look every 33 ms are never this late otherwise


class SessionClock:
    """Monotonic seconds, `speed` of which pass in one."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() * self.speed

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait for `event`, at most `seconds`; whether it is set."""
        return event.wait(seconds / self.speed)


class SessionTime:
    """The seconds of a host without those in which this process was stopped.

    A live session reads the time all the while. Where more than half a second passes between two
    readings from any thread, the process was stopped or its machine was suspended: the session's
    time goes on from the earlier reading. Every thread finds the same time, whichever reads first.

    paused: called with the seconds that are left out, by the thread that finds them.
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
        """Leave out pauses from now on: the time is read often enough from here."""
        self._last = self._host.now()

    def now(self) -> float:
        """Seconds since some moment."""
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
        """The session's time of a moment of the host, such as when sound was captured."""
        self.now()  # finds a pause that no thread has found yet
        with self._lock:
            if host_s >= self._resumed:
                return host_s - self._left_out
            return min(host_s - self._left_out_before, self._resumed - self._left_out)

    def of_host(self, seconds: float) -> float:
        """The host's time of a moment of the session, such as when sound is due."""
        with self._lock:
            return seconds + self._left_out
