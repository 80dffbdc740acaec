"""Words for a command line: a file read at once, or JSON lines followed as they are written."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from engine.errors import TranscriptError
from engine.events import EventCounter
from engine.text.files import read_words
from engine.text.json_lines import JsonLineDecoder
from engine.text.words import TimedWord

_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
_POLL_S = 0.05


class WordSource:
    """Reads words of `path`: TextGrid or TSV at once, JSON lines from a file or pipe as they come.

    failed: called with an exception that ended the reading, and a name for it.
    """

    def __init__(
        self,
        path: Path,
        take: Callable[[list[TimedWord]], None],
        events: EventCounter,
        failed: Callable[[BaseException, str], None] | None = None,
    ) -> None:
        self._path, self._take, self._events, self._failed = path, take, events, failed
        self._decoder = JsonLineDecoder(events)
        self._stopped = Event()
        self._thread: Thread | None = None
        self._file: int | None = None

    def start(self) -> None:
        """Pass on the present words and follow the rest; TranscriptError for an unreadable file."""
        try:
            mode = self._path.stat().st_mode
        except OSError as error:
            raise TranscriptError(
                f"cannot read words from {self._path}: {error.strerror}; check the path"
            ) from error
        if stat.S_ISDIR(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise TranscriptError(
                f"cannot read words from {self._path}: it is a folder or a device; expected a "
                "TextGrid, TSV or JSON lines file, or a named pipe"
            )
        if not stat.S_ISFIFO(mode) and self._path.suffix.lower() not in _JSON_SUFFIXES:
            self._take(read_words(self._path))
            return
        try:
            # Without O_NONBLOCK, opening a pipe would wait for a writer.
            self._file = os.open(self._path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            raise TranscriptError(
                f"cannot read words from {self._path}: {error.strerror}; check its permissions"
            ) from error
        self._read()
        self._thread = Thread(target=self._follow, name="words", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=0.5)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _follow(self) -> None:
        try:
            while not self._stopped.wait(_POLL_S):
                self._read()
        except BaseException as error:  # of any kind: the session must end, and report it
            if self._failed is None:
                raise
            self._failed(error, f"reading words from {self._path}")

    def _read(self) -> None:
        assert self._file is not None
        while True:
            try:
                data = os.read(self._file, 1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                self._events.note(f"no more words come from {self._path}: {error.strerror}")
                self._stopped.set()
                return
            if not data:
                return
            words = self._decoder.feed(data)
            if words:
                self._take(words)
