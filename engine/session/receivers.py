"""Receivers of a session: sinks get every frame, hooks get audio, words and figures.

A sink that raises OSError or ExportError is dropped: that is counted and reported at once, and the
others go on. Any other exception of a sink or hook ends the session.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.errors import ExportError
from engine.events import LOST_DEVICE, EventCounter
from engine.motion.pose import PoseFrame, PoseSink
from engine.text.words import TimedWord

AudioTap = Callable[[int, np.ndarray], None]
"""Called with the index of the first sample and the samples that the stream just took."""


@dataclass
class SessionHooks:
    """Callbacks of a session. taps: the audio as it is used. stats: twice a second."""

    taps: list[AudioTap] = field(default_factory=list)
    stats: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)
    words: list[Callable[[list[TimedWord]], None]] = field(default_factory=list)


class Receivers:
    """The sinks of a session.

    events: counts and reports lost sinks. failed: called with an error and the name of the sink
    that ends the session: the last sink was lost, or one raised an unexpected exception.
    """

    def __init__(
        self,
        sinks: Sequence[PoseSink],
        events: EventCounter,
        *,
        failed: Callable[[BaseException, str], None],
    ) -> None:
        self._all, self._left = tuple(sinks), tuple(sinks)
        self._events, self._failed = events, failed

    def send(self, frame: PoseFrame) -> None:
        """Send a frame to every remaining sink."""
        for sink in self._left:
            try:
                sink.send(frame)
            except (OSError, ExportError) as error:
                self._lose(sink, error)
            except BaseException as error:  # of any kind: the session must end, and report it
                self._drop(sink)
                self._failed(error, _name(sink))

    def close(self) -> None:
        """Close all sinks; an exception of one does not stop the others."""
        for sink in self._all:
            try:
                sink.close()
            except BaseException as error:
                self._failed(error, _name(sink))

    def _lose(self, sink: PoseSink, error: Exception) -> None:
        self._events.count(LOST_DEVICE)
        self._drop(sink)
        what = f"{_name(sink)} failed ({error})"
        if self._left:
            self._events.report(f"{what}; it gets no more frames, the others go on")
        else:
            lost = ExportError(f"{what} and no other is left; mend it and start again")
            self._failed(lost, _name(sink))

    def _drop(self, sink: PoseSink) -> None:
        self._left = tuple(other for other in self._left if other is not sink)


def _name(sink: PoseSink) -> str:
    return f"receiver {type(sink).__name__}"
