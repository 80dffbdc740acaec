"""Spool: a hidden file of records beside a target that is being written.

One process at a time writes it; if it dies, the system releases its lock and the records remain.
Records that the disk refuses wait in memory until it accepts them.
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

    header: None for a new spool; the header of a process that died, whose records are then in the
    file; after `begin` the given one. Raises ExportError if another recording holds the spool, and
    OSError for a path that cannot be written.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.spool")
        self._file = _open_locked(self.path, target)
        self._begin = self._end = 0
        self._waiting: deque[bytes] = deque()
        self.header = self._read_header()

    def begin(self, header: bytes) -> None:
        """Delete the records and write a header; OSError if that fails."""
        self._file.seek(0)
        self._file.truncate()
        self._begin = self._end = 0
        self._waiting.clear()
        self._put(_MAGIC + len(header).to_bytes(_LENGTH, "little") + header)
        self._begin = self._end
        self.header = header

    def append(self, records: bytes) -> None:
        """Add whole records.

        OSError if the disk refuses them: they wait in memory and are written before the next ones.
        MemoryError if too many wait already; these are lost.
        """
        if sum(map(len, self._waiting)) + len(records) > _MOST_WAITING:
            raise MemoryError("the disk takes nothing, and no more is kept in memory")
        self._waiting.append(records)
        self.flush()

    def flush(self) -> None:
        """Write the waiting records, as many as fit; OSError if the disk refuses some."""
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
        """Number of whole records of `size` bytes on disk."""
        return (self._end - self._begin) // size

    def release(self) -> None:
        """Remove the file: its records are in the target or not needed."""
        if os.name == "nt":  # Windows cannot remove an open file
            self._file.close()
        with suppress(FileNotFoundError):
            self.path.unlink()
        self._file.close()

    def keep(self) -> None:
        """Leave the file for the next recording to the same target."""
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
    """Open and lock the spool without changing its content."""
    while True:
        # Unbuffered, so that a full disk raises at the write that failed.
        file = path.open("a+b", buffering=0)
        try:
            _lock(file, target)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:  # its owner removed it just now
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO, target: Path) -> None:
    """Lock a file until it is closed or the process dies; ExportError if it is locked."""
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
        # A file system without locks: a second recording is not detected there.
