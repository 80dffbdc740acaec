"""Words as JSON lines that arrive in pieces, from a pipe or a growing file.

No input or output: the caller reads the pipe and passes the bytes.
"""

from typing import Final

from engine.errors import TranscriptError
from engine.events import REJECTED_MESSAGE, EventCounter
from engine.text.files import parse_json_line
from engine.text.words import TimedWord

_LONGEST_LINE: Final = 1 << 20


class JsonLineDecoder:
    """Bytes in, words out. A line that cannot be read is counted as REJECTED_MESSAGE and noted.

    A line of more than one mebibyte is rejected without being kept.
    """

    def __init__(self, events: EventCounter) -> None:
        self._events = events
        self._rest = b""
        self._skipping = False
        self._noted = False

    def feed(self, data: bytes) -> list[TimedWord]:
        """The words of the lines that are now complete."""
        *lines, rest = data.split(b"\n")
        words: list[TimedWord] = []
        for line in lines:
            words += self._line(self._rest + line)
            self._rest = b""
        self._rest += rest
        if len(self._rest) > _LONGEST_LINE:
            self._rest, self._skipping = b"", True
        return words

    def flush(self) -> list[TimedWord]:
        """Words of a last line without a line end; resets the decoder."""
        line, self._rest = self._rest, b""
        return self._line(line)

    def _line(self, line: bytes) -> list[TimedWord]:
        skipped, self._skipping = self._skipping, False
        if not skipped and not line.strip():
            return []
        reason = f"it is longer than {_LONGEST_LINE} bytes"
        if not skipped and len(line) <= _LONGEST_LINE:
            try:
                return parse_json_line(line)
            except TranscriptError as error:
                reason = str(error)
        self._events.count(REJECTED_MESSAGE)
        if not self._noted:
            self._events.note(f"a line of words was left out, perhaps more will be: {reason}")
        self._noted = True
        return []
