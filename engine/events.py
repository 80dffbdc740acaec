"""Faults of real time, counted by name, and notes about degradations.

A late frame or a slow client must neither raise nor pass silently: the code that detects it counts
it here, and the summary, the viewer and the tests read the counts. Conditions that the user must
know (a missing package, a repaired header, a silent channel) are notes.
"""

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Final

OVERRUN: Final = "overrun"  # audio came faster than it could be used; the oldest was dropped
UNDERRUN: Final = "underrun"  # audio did not come in time; silence took its place
LATE_FRAME: Final = "late_frame"  # a pose was not ready when due; the last one was held
SLOW_CLIENT: Final = "slow_client"  # a receiver's queue was full; its oldest frame was dropped
LOST_DEVICE: Final = "lost_device"  # a sound device or receiver went away
REJECTED_MESSAGE: Final = "rejected_message"  # a client's message was refused
BAD_SAMPLE: Final = "bad_sample"  # NaN or infinite samples were replaced by silence
PAUSE: Final = "pause"  # the process was stopped for a while; the session went on from then

ALL_EVENTS: Final = (
    OVERRUN,
    UNDERRUN,
    LATE_FRAME,
    SLOW_CLIENT,
    LOST_DEVICE,
    REJECTED_MESSAGE,
    BAD_SAMPLE,
    PAUSE,
)


_MOST_NOTES: Final = 100


class EventCounter:
    """Thread-safe counts of `ALL_EVENTS`, and the newest notes in `notes`.

    on_note: called with every note, in the thread that reports it.
    """

    def __init__(self, on_note: Callable[[str], None] | None = None) -> None:
        self._counts: Counter[str] = Counter()
        self._notes: dict[str, None] = {}
        self._on_note = on_note
        self._lock = Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, in order of occurrence."""
        with self._lock:
            return tuple(self._notes)

    def note(self, text: str) -> None:
        """Report a lasting condition to the user; the same text is reported once."""
        if text not in self.notes:
            self.report(text)

    def report(self, text: str) -> None:
        """Report an occurrence to the user, every time."""
        with self._lock:
            self._notes[text] = None
            while len(self._notes) > _MOST_NOTES:
                del self._notes[next(iter(self._notes))]
        if self._on_note is not None:
            self._on_note(text)

    def count(self, event: str, amount: int = 1) -> None:
        """Add `amount` to `event`, which must be one of `ALL_EVENTS`."""
        if event not in ALL_EVENTS:
            raise ValueError(f"unknown event {event!r}; expected one of {', '.join(ALL_EVENTS)}")
        with self._lock:
            self._counts[event] += amount

    def snapshot(self) -> dict[str, int]:
        """All counts, zeros included, in a fixed order."""
        with self._lock:
            return {event: self._counts[event] for event in ALL_EVENTS}
