"""Offline rendering: the frames of a live session, as fast as they can be computed."""

from collections.abc import Iterator, Sequence

from engine.audio.block import PcmBlock
from engine.audio.source import AudioSource
from engine.errors import as_gesture_error
from engine.motion.pose import PoseChunk, PoseSink
from engine.session.base import SOURCE, Session, SessionOptions
from engine.session.telemetry import Summary
from engine.stream.stream import GestureStream


class RenderSession(Session):
    """A session in the caller's thread; raises AudioError for audio too short for one pose."""

    def _run(self) -> None:
        self._attempt(self._render)
        self._attempt(self._render_rest)

    def _render(self) -> None:
        for block in self._blocks():
            self._handle_waiting()
            if self._stopped.is_set() or not self._feed(block.samples):
                break
            while (chunk := self._next_chunk()) is not None:
                self._emit(chunk)
        self._handle_waiting()

    def _blocks(self) -> Iterator[PcmBlock]:
        try:
            yield from self._source.blocks()
        except Exception as error:
            raise as_gesture_error(error, SOURCE) from error

    def _render_rest(self) -> None:
        if self._hop_failed:
            return
        if not self._stopped.is_set():
            self._stream.require_sound()
        begin = self._time.now()
        rest = self._stream.flush()
        self._telemetry.add_compute(self._time.now() - begin, hop=False)
        for chunk in rest:
            self._emit(chunk)

    def _emit(self, chunk: PoseChunk) -> None:
        for frame in self._output_frames(chunk):
            self._send(frame)


def render(
    stream: GestureStream,
    source: AudioSource,
    sinks: Sequence[PoseSink],
    options: SessionOptions | None = None,
) -> Summary:
    """Render all audio of `source` into opened `sinks`, and close them; see `Session.run`."""
    return RenderSession(stream, source, sinks, options).run()
