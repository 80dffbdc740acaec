"""CaptureThread: reads a source and passes its audio on when it is due.

Audio of a file or pipe is passed on no sooner than its capture time; audio of a microphone at once.
After a pause of the process, audio of a microphone or a live pipe that gathered meanwhile is
dropped, so that the session goes on from now.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event, Thread
from typing import Final

from engine.audio import SAMPLE_RATE
from engine.audio.block import PcmBlock
from engine.audio.source import AudioSource
from engine.clock import FrameClock
from engine.session.clock import SessionClock, SessionTime
from engine.session.media_clock import MediaClock
from engine.session.messages import AudioIn, End, Message

_PACKET_SAMPLES: Final = 160  # 10 ms
_FRAMES: Final = FrameClock()
_PROBE_S: Final = 0.15  # how long to watch a pipe that was already full
_END_S: Final = 0.25  # a source ends within 0.2 s, unless its system cannot wait for a pipe
_FULL_S: Final = 0.25  # a longer first block was waiting before the session began
_LIVE_S: Final = 0.5  # a source less than this ahead of time is in real time
_STALE_S: Final = 1.0  # after a pause, the time in which stale audio may arrive
_EARLY_S: Final = 0.03  # audio kept although it arrives before it is due


class CaptureThread:
    """Reads `source` in a thread of its own and puts AudioIn messages, then one End.

    Attributes:
        end: samples of the whole stream; None until the source has ended.
        error: the exception that ended the source; None if there was none.

    """

    def __init__(
        self,
        source: AudioSource,
        media_clock: MediaClock,
        stopped: Event,
        put: Callable[[Message], None],
        time: SessionTime | None = None,
    ) -> None:
        self._time = time or SessionTime(SessionClock())
        self._source, self._media_clock, self._stopped = source, media_clock, stopped
        self._put = put
        self._sent = self._silence = 0
        self._thread: Thread | None = None
        self._live = source.paced
        self.end: int | None = None
        self.error: BaseException | None = None

    def start(self) -> None:
        """Start reading."""
        self._thread = Thread(target=self._run, name="emage-source", daemon=True)
        self._thread.start()

    def add_silence(self, samples: int) -> None:
        """Count samples of silence that the session inserted for missing audio."""
        self._silence += samples

    def join(self) -> None:
        """Give the thread a moment to end after its source was closed."""
        if self._thread is not None:
            self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # of any kind: the session must end, and report it
            self.error = error
        # The computing thread may process the end late; the playout must not run past it.
        self.end = self._sent + self._silence
        self._put(End())

    def _read(self) -> None:
        blocks = self._source.blocks()
        for block in blocks:
            stamped = self._in_session_time(block)
            waiting = [stamped] if self._media_clock.started else self._begin(stamped, blocks)
            for piece in waiting:
                self._deliver(self._without_stale(piece))
            if self._stopped.is_set():
                return

    def _begin(self, block: PcmBlock, more: Iterator[PcmBlock]) -> list[PcmBlock]:
        """Set the time of sample 0; see `engine.session.media_clock` for a pipe that was full."""
        now = self._time.now()
        length_s = len(block.samples) / SAMPLE_RATE
        if not math.isnan(block.captured_at) and length_s > _FULL_S:
            return self._begin_full(block, more, now)
        self._media_clock.begin(
            now if math.isnan(block.captured_at) else block.captured_at - length_s
        )
        return [block]

    def _begin_full(self, block: PcmBlock, more: Iterator[PcmBlock], now: float) -> list[PcmBlock]:
        """Find out whether the sender goes on in real time or as fast as it can."""
        waiting = [block]
        while self._time.now() - now < _PROBE_S:
            following = next(more, None)
            if following is None:
                break
            waiting.append(self._in_session_time(following))
        total_s = sum(len(b.samples) for b in waiting) / SAMPLE_RATE
        later_s = (
            sum(len(b.samples) for b in waiting if b.captured_at > now + _PROBE_S / 2) / SAMPLE_RATE
        )
        live = 0 < later_s < 2 * _PROBE_S
        self._media_clock.begin(self._time.now() - (total_s if live else 0.0))
        return waiting

    def _in_session_time(self, block: PcmBlock) -> PcmBlock:
        if math.isnan(block.captured_at):
            return block
        return replace(block, captured_at=self._time.of(block.captured_at))

    def _without_stale(self, block: PcmBlock) -> PcmBlock:
        """The block without audio that gathered while the process was stopped.

        Only real-time audio is stale then; a file, or a pipe that is written as fast as it is read,
        is not.
        """
        if math.isnan(block.captured_at):
            return block
        due_s = self._media_clock.captured_s(self._sent + self._silence + len(block.samples))
        early_s = due_s - block.captured_at
        if not 0 <= block.captured_at - self._time.resumed_s < _STALE_S:
            self._live = self._source.paced or early_s < _LIVE_S
            return block
        stale = int((early_s - _EARLY_S) * SAMPLE_RATE) if self._live else 0
        return replace(block, samples=block.samples[stale:]) if stale > 0 else block

    def _deliver(self, block: PcmBlock) -> None:
        """Pass a block on in pieces, none before its capture time.

        Pieces end at frame boundaries, so that a frame waits for no more than its own audio.
        """
        start = 0
        while start < len(block.samples):
            place = self._sent + self._silence
            frame_end = _FRAMES.first_sample(_FRAMES.frames_complete(place) + 1)
            piece = block.samples[start : start + min(_PACKET_SAMPLES, frame_end - place)]
            start += len(piece)
            self._sent += len(piece)
            if not self._source.paced:
                wait_s = self._media_clock.captured_s(place + len(piece)) - self._time.now()
                if wait_s > 0 and self._time.wait(self._stopped, wait_s):
                    return
            self._put(AudioIn(piece, block.captured_at))
