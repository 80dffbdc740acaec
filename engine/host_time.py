"""HostTime: the seconds of this machine as a live session lives them, possibly faster.

A session at four times the speed is the session of a machine whose day is six hours long: sound
comes, frames leave and waits end four times as soon, and computing seems to take four times as
long. For endurance runs; everything in real time has a speed of 1.
"""

import time
from threading import Event


class HostTime:
    """Monotonic seconds, `speed` of which pass in one."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() * self.speed

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait for `event`, at most `seconds`; whether it is set."""
        return event.wait(seconds / self.speed)
