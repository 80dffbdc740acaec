"""LiveSession: a GestureStream in real time.

Three threads: capture, computation (the caller's), and playout, which sends frames at a steady
cadence. A frame is sent `delay_s` after its audio was captured.
"""

import gc
import queue
from collections.abc import Sequence
from typing import Final

import numpy as np

from engine.audio.source import AudioSource
from engine.errors import SessionError
from engine.events import UNDERRUN
from engine.motion.pose import PoseChunk, PoseFrame, PoseSink
from engine.session.base import SOURCE, Session, SessionOptions
from engine.session.cadence import Cadence, Outlet
from engine.session.capture import CaptureThread
from engine.session.playout_delay import PlayoutDelay, first_delay, hop_cost
from engine.stream.stream import GestureStream

_STATS_EVERY: Final = 15  # frames
_RECEIVER_TIMEOUT_S: Final = 1.0  # for a receiver to return once the session ends
_POLL_S: Final = 0.02


class LiveSession(Session):
    """A session in real time; see `Session`."""

    def __init__(
        self,
        stream: GestureStream,
        source: AudioSource,
        sinks: Sequence[PoseSink],
        options: SessionOptions | None = None,
    ) -> None:
        super().__init__(stream, source, sinks, options)
        self._delay: PlayoutDelay | None = None
        self._capture = CaptureThread(
            source, self._media_clock, self._stopped, self._inbox.put, self._time
        )

    @property
    def delay_s(self) -> float:
        """Seconds from the capture of a frame's last sample until it is due; 0 before `prepare`."""
        return 0.0 if self._delay is None else self._delay.total_s

    def prepare(self) -> None:
        """Warm up and choose the playout delay from the cost of a hop on this machine."""
        interpolated_s = self._interpolator.delay_frames / self._stream.clock.frame_rate
        cost_s = hop_cost(self._stream, self._time.now, lambda s: self._time.wait(self._stopped, s))
        outside_s = self._source.delay_s + interpolated_s
        latency, frame_rate = self._stream.latency, self._stream.clock.frame_rate
        self._delay = first_delay(latency, frame_rate, cost_s, outside_s)
        gc.collect()
        gc.freeze()

    def _run(self) -> None:
        if self._delay is None:
            self.prepare()
        assert self._delay is not None
        self._cadence = self._new_cadence(self._delay)
        self._time.watch()
        self._capture.start()
        self._cadence.start()
        self._attempt(self._compute_until_end)
        self._attempt(self._compute_rest)
        while not self._cadence.join(0.01) and not self._stopped.is_set():
            pass
        if self._capture.error is not None:
            self.fail(self._capture.error, SOURCE)
        if not self._cadence.join(_RECEIVER_TIMEOUT_S):
            raise SessionError(
                f"a receiver did not return within {_RECEIVER_TIMEOUT_S:g} s; see whether its disk "
                "or network is still there"
            )
        self._cadence.send_rest()

    def _join(self) -> None:
        gc.unfreeze()
        try:
            super()._join()
        finally:
            self._capture.join()

    def _new_cadence(self, delay: PlayoutDelay) -> Cadence:
        outlet = Outlet(
            self.output,
            self._events,
            self._stopped,
            send=self._send_live,
            failed=lambda error: self.fail(error, "handing out frames"),
            total=self._known_total,
        )
        return Cadence(
            self._rest_frame(), self._media_clock, delay, outlet, self._time, self._telemetry
        )

    def _rest_frame(self) -> PoseFrame:
        """The first frame of silence."""
        snapshot = self._stream.snapshot()
        self._stream.feed_audio(np.zeros(self._stream.first_hop_samples, np.float32))
        chunk = self._stream.drain()[0]
        self._stream.restore(snapshot)
        return next(chunk.frames(self._stream.clock))

    def _send_live(self, frame: PoseFrame) -> None:
        self._send(frame)
        if self._telemetry.frames % _STATS_EVERY == 0 and not self._stopped.is_set():
            stats = self.stats()
            for hook in self._hooks.stats:
                hook(stats)

    # -- computing -------------------------------------------------------------------------------

    def _compute_until_end(self) -> None:
        while not self._stopped.is_set():
            try:
                more = self._handle(self._inbox.get(timeout=_POLL_S))
            except queue.Empty:
                more = self._conceal_underrun()
            self._compute_ready()
            if not more:
                return
        self._handle_waiting()  # audio that came before the stop

    def _compute_rest(self) -> None:
        total = self._cadence.made
        try:
            if not self._hop_failed:
                self._put(self._stream.flush())
                total = self._output_total(self._media_clock.received)
        finally:
            self._cadence.end(total)

    def _compute_ready(self) -> None:
        while self._stream.ready and not self._stopped.is_set():
            last = self._stream.next_frame + self._stream.schedule.hop
            complete_s = self._media_clock.captured_s(self._stream.clock.first_sample(last))
            if self._time.now() > complete_s + self.delay_s:
                # Every frame of this hop is already late: skipping it lets the model catch up.
                chunk = self._stream.skip_chunk()
            else:
                chunk = self._next_chunk()
                self._observe_lag(complete_s)
            if chunk is not None:
                self._put([chunk])

    def _observe_lag(self, complete_s: float) -> None:
        """Report the lag of a hop whose audio, without look-ahead, was complete at `complete_s`."""
        assert self._delay is not None
        waited_s = self._stream.latency.lookahead_ms / 1000
        interpolated_s = self._interpolator.delay_frames / self._stream.clock.frame_rate
        self._delay.observe(self._time.now() - complete_s - waited_s + interpolated_s)

    def _put(self, chunks: Sequence[PoseChunk]) -> None:
        self._cadence.put([frame for chunk in chunks for frame in self._output_frames(chunk)])

    def _conceal_underrun(self) -> bool:
        """Feed silence where audio is overdue, so that the avatar goes on."""
        missing = self._media_clock.overdue_samples(self._time.now())
        if not missing:
            return True
        self._events.count(UNDERRUN)
        self._capture.add_silence(missing)
        return self._feed(np.zeros(missing, np.float32))

    def _known_total(self) -> int | None:
        """Output frames of the whole session; None while the end is open."""
        ends = [end for end in (self._capture.end, self._max_samples) if end is not None]
        return self._output_total(min(ends)) if ends else None

    def _output_total(self, samples: int) -> int:
        return self._interpolator.total(self._stream.clock.frames_complete(samples))
