"""Actions of WebSocket clients on a live session."""

from dataclasses import replace

from engine.audio.queue import QueueSource
from engine.audio.source import AudioSource
from engine.errors import ConfigError
from engine.motion.pose import FloatArray
from engine.session.base import Session
from engine.text.words import TimedWord


class SessionControl:
    """A ControlSink. `session` is set once it exists; before that, calls raise ConfigError.

    If clients send the audio, their word times count from the first sample of the utterance;
    otherwise from the beginning of the stream.
    """

    def __init__(self, source: AudioSource, source_name: str) -> None:
        self._source = source
        self._source_name = source_name
        self.session: Session | None = None

    def push_audio(self, samples: FloatArray, rate: int) -> None:
        """Queue audio; ConfigError if the session has another source."""
        if not isinstance(self._source, QueueSource):
            raise ConfigError(
                f"this session's sound comes from {self._source_name}; start emage-live without it "
                "to send sound over the WebSocket"
            )
        self._source.push(samples, rate)

    def push_words(self, words: list[TimedWord]) -> None:
        """Add or revise words."""
        if isinstance(self._source, QueueSource):
            begin = self._source.utterance_start_s()
            words = [
                replace(word, start_s=word.start_s + begin, end_s=word.end_s + begin)
                for word in words
            ]
        self._running().push_words(words)

    def cancel(self) -> None:
        """Drop waiting audio and settle."""
        self._running().cancel()

    def reset(self) -> None:
        """Same as `cancel`: the frame numbers of a live stream continue."""
        self._running().cancel()

    def end(self) -> None:
        """End the utterance."""
        if isinstance(self._source, QueueSource):
            self._source.end()

    def _running(self) -> Session:
        if self.session is None:
            raise ConfigError("the session is still starting; try again in a moment")
        return self.session
