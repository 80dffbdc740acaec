"""QuietSound: drops the messages of sound libraries on standard error, and nothing else.

PortAudio and ALSA print messages when a device fails; the libraries of distributions have no switch
for them. Their meaning is reported as a note or an error of this program.
"""

import os
import threading
from typing import Final

_NOISE: Final = (b"Expression '", b"ALSA lib ", b"PaHost", b"Cannot connect to server")
_STANDARD_ERROR: Final = 2
_WAIT_S: Final = 0.5


class QuietSound:
    """Context manager that drops lines of PortAudio and ALSA from standard error."""

    def __init__(self) -> None:
        self._real: int | None = None
        self._relay: threading.Thread | None = None

    def __enter__(self) -> "QuietSound":
        try:
            self._real = os.dup(_STANDARD_ERROR)
        except OSError:  # closed: nothing to filter
            return self
        reading, writing = os.pipe()
        os.dup2(writing, _STANDARD_ERROR)
        os.close(writing)
        self._relay = threading.Thread(
            target=_relay, args=(reading, self._real), name="standard-error", daemon=True
        )
        self._relay.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._real is None or self._relay is None:
            return
        os.dup2(self._real, _STANDARD_ERROR)  # ends the relay
        self._relay.join(_WAIT_S)
        if not self._relay.is_alive():
            os.close(self._real)


def _relay(reading: int, real: int) -> None:
    """Pass lines on until the pipe is closed."""
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            if not line.startswith(_NOISE):
                try:
                    os.write(real, line)
                except OSError:  # nothing reads: the writers must not block
                    continue
