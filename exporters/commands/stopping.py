"""Orderly end of a command on Ctrl-C, SIGTERM, SIGHUP, and Ctrl-Break on Windows.

Records signals and calls a stop function. Imports little, so that a command can load it first. The
handlers take no lock: Python runs them in the main thread between any two steps, also within
another handler, and a lock of the interrupted step would never be released.
"""

import atexit
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_FORCE_AFTER_S: Final = 3.0
FORCED: Final = 128
"""Added to a signal's number: exit status of a process that a later signal had to end."""


class StopRequested(BaseException):
    """Raised once, in the main thread, by a signal before `on_signal`.

    Code that creates files removes unfinished ones in a `finally`, as for KeyboardInterrupt.
    """


class Stopping:
    """Signal state of this process.

    At first a signal raises StopRequested in the main thread at any place; after `on_signal` it
    calls the given function, in a thread, and raises nothing. A signal more than three seconds
    after the first one ends the process at once.
    """

    def __init__(self) -> None:
        # Plain values, each written in one step, since a handler may interrupt any code.
        self._asked = self._raised = False
        self._raising = True
        self._stop: Callable[[], None] | None = None
        self._first_s: float | None = None
        self._sender: socket.socket | None = None
        self._before: dict[int, object] = {}
        self._wakeup = -1

    def install(self) -> None:
        """Install the handlers; in the main thread only."""
        receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        watch = threading.Thread(target=self._watch, args=(receiver,), name="signals", daemon=True)
        watch.start()
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is None:
                continue
            before = signal.getsignal(number)
            if name == "SIGHUP" and before is signal.SIG_IGN:  # nohup
                continue
            self._before[number] = before
            signal.signal(number, self._handle)

    def restore(self) -> None:
        """Restore the previous handlers."""
        signal.set_wakeup_fd(self._wakeup)
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        if self._sender is not None:
            self._sender.close()  # ends the thread

    def ignore(self) -> None:
        """Ignore signals in the last moments of the process."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    @property
    def raised(self) -> bool:
        """Whether StopRequested was raised, even if it was caught."""
        return self._raised

    def quiet(self) -> None:
        """Stop raising."""
        self._raising = False

    def check(self) -> None:
        """Raise StopRequested if a signal arrived, even if an earlier exception was swallowed."""
        if self._asked:
            raise StopRequested

    def on_signal(self, stop: Callable[[], None]) -> None:
        """Call `stop` once for a signal from now on; StopRequested if one arrived before."""
        self._raising = False
        self.check()  # before: the watching thread may read an earlier signal only now
        self._stop = stop
        self.check()

    def clear(self) -> None:
        """Remove the stop function, so that its objects can be freed."""
        self._stop = None

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        if self._raising and not self._raised:
            self._raised = True
            raise StopRequested

    def _watch(self, receiver: socket.socket) -> None:
        """Read the numbers of signals, which the system's handler writes at once."""
        with receiver:
            while numbers := receiver.recv(64):
                self._asked = True
                now = time.monotonic()
                if self._first_s is None:
                    self._first_s = now
                elif now - self._first_s > _FORCE_AFTER_S:
                    os._exit(FORCED + numbers[-1])
                stop, self._stop = self._stop, None
                if stop is not None:  # in a thread of its own: this one must keep reading
                    threading.Thread(target=stop, name="stop", daemon=True).start()
                del stop  # this thread outlives the stop function


class _Current:
    """The one Stopping of this process, if it has one."""

    stopping: Stopping | None = None


@contextmanager
def stoppable() -> Iterator[Stopping]:
    """Context manager that ends its block early, without a message, on a signal.

    Within another `stoppable`, or in another thread than the main one, the outer one applies.
    """
    if (outer := _Current.stopping) is not None:
        try:
            yield outer
        finally:
            outer.clear()
        return
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    try:
        try:
            _Current.stopping = stopping
            stopping.install()
            yield stopping
        finally:
            stopping.quiet()
    except StopRequested:
        pass
    finally:
        _Current.stopping = None
        stopping.restore()


def check_stopped() -> None:
    """Raise StopRequested if a signal arrived.

    For work in which libraries call back into Python and swallow the exception of a signal.
    """
    if _Current.stopping is not None:
        _Current.stopping.check()


def run_stoppable(command: Callable[[], int], stopped: int = 0) -> int:
    """Run `command` for the whole life of a process; `stopped`: exit status after a signal."""
    stopping = Stopping()
    status = 0
    try:
        try:
            _Current.stopping = stopping
            stopping.install()
            atexit.register(stopping.ignore)
            status = command()
        finally:
            stopping.quiet()
    except BaseException:
        if not stopping.raised:  # an interrupted import may raise another exception
            raise
    return stopped if stopping.raised else status
