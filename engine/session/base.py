"""Session: one stream between an audio source and its receivers; real time is in `live`.

An exception in a source, receiver, hook or the model, in any thread, ends the session: the
receivers get all frames of the earlier audio and are closed, then `run` raises a GestureError.
"""

import math
import queue
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, Final

import numpy as np

from engine.audio import SAMPLE_RATE
from engine.audio.queue import QueueSource
from engine.audio.source import AudioSource
from engine.clock import FrameClock
from engine.errors import as_gesture_error
from engine.events import PAUSE
from engine.motion.pose import PoseChunk, PoseFormat, PoseFrame, PoseSink
from engine.session.clock import SessionClock, SessionTime
from engine.session.media_clock import MediaClock
from engine.session.messages import AudioIn, Cancel, End, Message, WordsIn
from engine.session.playout import FrameInterpolator
from engine.session.receivers import Receivers, SessionHooks
from engine.session.telemetry import Summary, Telemetry
from engine.stream.stream import GestureStream
from engine.text.words import TimedWord
from engine.timing import Stage

SOURCE: Final = "the sound source"
_SESSION: Final = "the live session"


@dataclass(frozen=True)
class SessionOptions:
    """Options of a session.

    Attributes:
        output_rate: frames per second sent to the receivers; None: the model's.
        duration_s: audio after which the session ends, seconds; None: no limit.
        hooks: callbacks for audio, words and figures.
        clock: clock of the session.

    """

    output_rate: int | None = None
    duration_s: float | None = None
    hooks: SessionHooks = field(default_factory=SessionHooks)
    clock: SessionClock = field(default_factory=SessionClock)


class Session(ABC):
    """Runs `source` through `stream` into `sinks` until the audio ends, `duration_s`, or `stop`.

    Faults of real time are counted in the stream's events.
    """

    def __init__(
        self,
        stream: GestureStream,
        source: AudioSource,
        sinks: Sequence[PoseSink],
        options: SessionOptions | None = None,
    ) -> None:
        options = options or SessionOptions()
        clock, seconds = stream.clock, options.duration_s
        self.output = FrameClock(clock.sample_rate, options.output_rate or clock.frame_rate)
        self._stream, self._source = stream, source
        self._events, self._hooks = stream.events, options.hooks
        self._max_samples = None if seconds is None else int(seconds * SAMPLE_RATE)
        self._receivers = Receivers(sinks, self._events, failed=self.fail)
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stopped = Event()
        self._time = SessionTime(options.clock, self._count_pause)
        self._telemetry = Telemetry(self._time.now)
        self._errors: list[BaseException] = []  # the first one ended the session
        self._hop_failed = False  # the stream is then between two frames
        self._media_clock = MediaClock(stamped=source.paced)
        self._interpolator = FrameInterpolator(clock, self.output)

    @property
    def output_format(self) -> PoseFormat:
        """Format of the frames that the receivers get."""
        return replace(self._stream.format, clock=self.output, hop=self._stream.schedule.hop)

    @property
    def delay_s(self) -> float:
        """Seconds from the capture of a frame's last sample until it is due; 0 if not live."""
        return 0.0

    def captured_s(self, sample: int) -> float:
        """Capture time of `sample`, in monotonic seconds; NaN before the stream has begun."""
        return self._time.of_host(self._media_clock.captured_s(sample))

    # -- from any thread -------------------------------------------------------------------------

    def stop(self) -> None:
        """End soon; the receivers get all frames of the audio that was received."""
        self._stopped.set()
        self._source.close()

    def fail(self, error: BaseException, part: str) -> None:
        """End soon; `run` raises `error`, or a SessionError that names the `part` it came from."""
        self._errors.append(as_gesture_error(error, part))
        self._stopped.set()
        self._attempt(self._source.close)

    def push_words(self, words: Iterable[TimedWord]) -> None:
        """Words, late or early, in seconds of the stream."""
        self._inbox.put(WordsIn(tuple(words)))

    def cancel(self) -> None:
        """Stop speaking: waiting audio is dropped and the motion settles."""
        if isinstance(self._source, QueueSource):
            self._source.clear()
        self._inbox.put(Cancel())

    # -- running ---------------------------------------------------------------------------------

    def run(self) -> Summary:
        """Run to the end and close the receivers; GestureError where something failed.

        An interruption of the caller's own thread, such as KeyboardInterrupt, is raised as it is.
        """
        self._stream.set_timer(self._telemetry.stages.watch)
        self._attempt(self._run)
        self._stopped.set()
        self._attempt(self._join)
        self._receivers.close()
        if self._errors:
            raise self._errors[0]
        return self.summary()

    @abstractmethod
    def _run(self) -> None:
        """Process all audio."""

    def _join(self) -> None:
        """Close the source and wait for other threads."""
        self._source.close()

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do one step of the session; an error in it ends the session after the other steps."""
        try:
            step()
        except Exception as error:
            self._errors.append(as_gesture_error(error, _SESSION))
            self._stopped.set()
        except BaseException as error:
            self._errors.append(error)
            self._stopped.set()

    def _count_pause(self, seconds: float) -> None:
        self._events.count(PAUSE)
        self._events.report(
            f"the process was stopped for {seconds:.1f} s; the stream goes on from now"
        )

    def _handle(self, message: Message) -> bool:
        """Process one message; False once the audio is complete."""
        match message:
            case AudioIn(samples, captured_at):
                more = self._feed(samples)
                self._media_clock.advance(0, captured_at)
                return more
            case WordsIn(words):
                self._stream.feed_words(words)
                for hook in self._hooks.words:
                    hook(list(words))
            case Cancel():
                self._stream.cancel()
            case End():
                return False
        return True

    def _handle_waiting(self) -> None:
        while not self._inbox.empty():
            if not self._handle(self._inbox.get()):
                return

    def _feed(self, samples: np.ndarray) -> bool:
        """Give samples to the stream and the taps; False when the wanted duration is reached."""
        first = self._media_clock.received
        if self._max_samples is not None:
            samples = samples[: max(0, self._max_samples - first)]
        self._media_clock.advance(len(samples), math.nan)
        self._stream.feed_audio(samples)
        for tap in self._hooks.taps:
            tap(first, samples)
        return self._max_samples is None or self._media_clock.received < self._max_samples

    def _next_chunk(self) -> PoseChunk | None:
        """Compute one hop and time it."""
        begin = self._time.now()
        self._hop_failed = True
        chunk = self._stream.next_chunk()
        self._hop_failed = False
        self._telemetry.add_compute(self._time.now() - begin, hop=chunk is not None)
        return chunk

    def _output_frames(self, chunk: PoseChunk) -> list[PoseFrame]:
        frames = chunk.frames(self._stream.clock)
        return [out for frame in frames for out in self._interpolator.feed(frame)]

    def _send(self, frame: PoseFrame) -> None:
        with self._telemetry.stages.watch(Stage.SEND):
            self._receivers.send(frame)
        self._telemetry.frames += 1

    # -- figures -----------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Recent figures."""
        return {**self._telemetry.stats(), "events": self._events.snapshot()}

    def summary(self) -> Summary:
        """Figures of the whole session, or of its part before it failed."""
        latency, audio_s = self._stream.latency, self._media_clock.received / SAMPLE_RATE
        playout_ms = max(0.0, self.delay_s * 1000 - latency.algorithmic_ms)
        return replace(
            self._telemetry.summary(self._stream.bundle_name, audio_s, self.output.frame_rate),
            hop_frames=latency.hop_frames,
            lookahead_ms=round(latency.lookahead_ms, 3),
            hop_wait_ms=round(latency.hop_wait_ms, 3),
            playout_ms=round(playout_ms, 3),
            events=self._events.snapshot(),
        )
