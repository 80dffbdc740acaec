"""SourceReader: the thread that reads a source and hands its sound on when it is due.

Sound from a file or pipe is handed on no sooner than it would have been heard; sound from a
microphone at once. After a pause of the process, sound of a microphone or a live pipe that gathered
meanwhile is dropped, so that the session goes on from now. Part of the live session: knows the
pace, not what becomes of the sound.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event, Thread
from typing import Final

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.audio.block import PcmBlock
from engine.audio.source import AudioSource
from engine.clock import FrameClock
from engine.session.clock import SessionClock, SessionTime
from engine.session.media_clock import MediaClock

_PIECE: Final = 160  # samples handed on at a time: 10 ms
_FRAMES: Final = FrameClock()
_PROBE_S: Final = 0.15  # how long to watch a pipe that was already full
_END_S: Final = 0.25  # a source ends within 0.2 s, unless its system cannot wait for a pipe
_FULL_S: Final = 0.25  # a first block longer than this was waiting before we came
_LIVE_S: Final = 0.5  # sound that comes less than this before it is due comes in real time
_STALE_S: Final = 1.0  # after a pause, for so long sound that gathered meanwhile may come
_EARLY_S: Final = 0.03  # then sound may come so much before it is due


class CaptureThread:
    """Reads `source` in a thread of its own.

    take(samples, captured_at): called for every piece. ended(): called once at the source's end.
    `inserted`: samples of silence that were put between (the session writes it).
    `end`: the stream's length once the source has ended. `error`: what ended it, if it failed.
    """

    def __init__(
        self,
        source: AudioSource,
        pace: MediaClock,
        stopped: Event,
        *,
        take: Callable[[np.ndarray, float], None],
        ended: Callable[[], None],
        host: SessionTime | None = None,
    ) -> None:
        self._host = host or SessionTime(SessionClock())
        self._source, self._pace, self._stopped = source, pace, stopped
        self._take, self._ended = take, ended
        self._sent = 0
        self._thread: Thread | None = None
        self.inserted = 0
        self.end: int | None = None
        self.error: BaseException | None = None
        self._live = source.paced

    def start(self) -> None:
        """Begin to read."""
        self._thread = Thread(target=self._run, name="emage-source", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Give the thread a moment to end after its source was closed."""
        if self._thread is not None:
            self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # of any kind: the session must end, and say why
            self.error = error
        # The computing thread may learn of the end late; the playout must not run past it.
        self.end = self._sent + self.inserted
        self._ended()

    def _read(self) -> None:
        blocks = self._source.blocks()
        for block in blocks:
            known = self._in_session_time(block)
            waiting = [known] if self._pace.started else self._begin(known, blocks)
            for piece in waiting:
                self._deliver(self._without_stale(piece))
            if self._stopped.is_set():
                return

    def _begin(self, block: PcmBlock, more: Iterator[PcmBlock]) -> list[PcmBlock]:
        """Fix the time of sample 0; see `engine.session.media_clock` for a pipe that was already
        full.
        """
        now = self._host.now()
        length_s = len(block.samples) / SAMPLE_RATE
        if not math.isnan(block.captured_at) and length_s > _FULL_S:
            return self._begin_full(block, more, now)
        self._pace.begin(now if math.isnan(block.captured_at) else block.captured_at - length_s)
        return [block]

    def _begin_full(self, block: PcmBlock, more: Iterator[PcmBlock], now: float) -> list[PcmBlock]:
        """Watch for a moment whether the sender goes on in real time or as fast as it can."""
        waiting = [block]
        while self._host.now() - now < _PROBE_S:
            following = next(more, None)
            if following is None:
                break
            waiting.append(self._in_session_time(following))
        total_s = sum(len(b.samples) for b in waiting) / SAMPLE_RATE
        later_s = (
            sum(len(b.samples) for b in waiting if b.captured_at > now + _PROBE_S / 2) / SAMPLE_RATE
        )
        live = 0 < later_s < 2 * _PROBE_S
        self._pace.begin(self._host.now() - (total_s if live else 0.0))
        return waiting

    def _in_session_time(self, block: PcmBlock) -> PcmBlock:
        if math.isnan(block.captured_at):
            return block
        return replace(block, captured_at=self._host.of(block.captured_at))

    def _without_stale(self, block: PcmBlock) -> PcmBlock:
        """The block without the sound that gathered while the process was stopped.

        Only real-time sound is stale then; what waits in a pipe that is written as fast as it is
        read, or comes from a file, is still wanted.
        """
        if math.isnan(block.captured_at):
            return block
        due_s = self._pace.heard_s(self._sent + self.inserted + len(block.samples))
        early_s = due_s - block.captured_at
        if not 0 <= block.captured_at - self._host.resumed_s < _STALE_S:
            self._live = self._source.paced or early_s < _LIVE_S
            return block
        stale = int((early_s - _EARLY_S) * SAMPLE_RATE) if self._live else 0
        return replace(block, samples=block.samples[stale:]) if stale > 0 else block

    def _deliver(self, block: PcmBlock) -> None:
        """Pass a block on in pieces, none before its capture time.

        A piece ends where a frame ends, so that a frame waits for no more than its own sound.
        """
        start = 0
        while start < len(block.samples):
            place = self._sent + self.inserted
            frame_end = _FRAMES.first_sample(_FRAMES.frames_complete(place) + 1)
            piece = block.samples[start : start + min(_PIECE, frame_end - place)]
            start += len(piece)
            self._sent += len(piece)
            if not self._source.paced:
                wait_s = self._pace.heard_s(place + len(piece)) - self._host.now()
                if wait_s > 0 and self._host.wait(self._stopped, wait_s):
                    return
            self._take(piece, block.captured_at)
