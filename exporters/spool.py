"""Spool: a hidden file of records beside a target that is still being written.

One process at a time writes it; the system frees the lock of one that died, whose records then are
still there. Records that the disk refuses wait in memory until it takes them. Knows a header and
the size of a record, not what they mean.
"""

import errno
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from engine.errors import ExportError

_MAGIC: Final = b"EMSPOOL1"
_LENGTH: Final = 8
_MOST_WAITING: Final = 32 * 1024 * 1024  # bytes: some twenty minutes of frames
_BUSY: Final = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_LOCK_AT: Final = 2**40  # Windows locks bytes, and those must not be read


class Spool:
    """The spool of `target`, held from construction to `release` or `keep`.

    header: None for a new spool. Where a process died that had it: what that one wrote, and the
    records that are there are its own; after `begin`: what was given.
    Raises ExportError where another recording holds it, and OSError for a place that cannot be
    written.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.spool")
        self._file = _open_locked(self.path, target)
        self._begin = self._end = 0
        self._waiting: deque[bytes] = deque()
        self.header = self._read_header()

    def begin(self, header: bytes) -> None:
        """Forget what is there and write a header; OSError where that fails."""
        self._file.seek(0)
        self._file.truncate()
        self._begin = self._end = 0
        self._waiting.clear()
        self._put(_MAGIC + len(header).to_bytes(_LENGTH, "little") + header)
        self._begin = self._end
        self.header = header

    def append(self, records: bytes) -> None:
        """Add whole records.

        OSError where the disk refuses them: they wait in memory and are written before the next
        ones. MemoryError where too many wait already; these are lost.
        """
        if sum(map(len, self._waiting)) + len(records) > _MOST_WAITING:
            raise MemoryError("the disk takes nothing, and no more is kept in memory")
        self._waiting.append(records)
        self.flush()

    def flush(self) -> None:
        """Write what waits, as much as fits; OSError where the disk refuses some of it."""
        while self._waiting:
            self._put(self._waiting[0])
            self._waiting.popleft()

    def pieces(self, size: int, most: int) -> Iterator[bytes]:
        """All whole records of `size` bytes that are on disk, `most` at a time."""
        at, end = self._begin, self._begin + self.count(size) * size
        while at < end:
            wanted = min(most * size, end - at)
            self._file.seek(at)
            yield self._read(wanted)
            at += wanted

    def count(self, size: int) -> int:
        """How many whole records of `size` bytes are on disk."""
        return (self._end - self._begin) // size

    def release(self) -> None:
        """Remove the file: its records are in the target now, or unwanted."""
        if os.name == "nt":  # an open file cannot be removed there
            self._file.close()
        with suppress(FileNotFoundError):
            self.path.unlink()
        self._file.close()

    def keep(self) -> None:
        """Leave the file for the next recording of the same target to find."""
        self._file.close()

    def _put(self, data: bytes) -> None:
        """Write at the end, all or nothing."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._end)
            raise
        self._end += len(data)

    def _read(self, size: int) -> bytes:
        """`size` bytes, or those up to the end of the file; one system call may give fewer."""
        data = b""
        while len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        return data

    def _read_header(self) -> bytes | None:
        self._end = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        start = self._read(len(_MAGIC) + _LENGTH)
        self._begin = len(start)
        if not _MAGIC.startswith(start[: len(_MAGIC)]):
            return b""
        length = int.from_bytes(start[len(_MAGIC) :], "little")
        header = self._read(length)
        self._begin += len(header)
        return header if header and len(header) == length else None


def _open_locked(path: Path, target: Path) -> BinaryIO:
    """The spool, open and locked. Its content stays as it is."""
    while True:
        # Unbuffered, so that a full disk raises at the write that it refuses.
        file = path.open("a+b", buffering=0)
        try:
            _lock(file, target)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:  # its owner was just done and removed it
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO, target: Path) -> None:
    """Lock a file until it is closed or the process dies; ExportError where another has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCK_AT)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            raise ExportError(
                f"another recording is being written to {target}; choose another file, or end that "
                "one first"
            ) from error
        # A file system without locks: a second recording would not be noticed there.
