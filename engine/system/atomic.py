"""Files and folders that appear complete or not at all, whatever ends the writer.

A part is written in a folder of its own beside its place and renamed when it is complete. The
folder of a writer that was killed is removed by the next writer beside it; that of a running
writer is locked and stays.
"""

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = ".part-"  # short: a name may have 255 bytes, and the part has that of its place


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A free place to write a file or a new folder that replaces `path` when the block ends.

    An exception in the block leaves `path` as it was and removes the part. OSError where the
    folder of `path` cannot be written, or where `path` is a folder that is not empty.
    """
    remove_abandoned(path.parent)
    part = _Part(path.parent)
    try:
        part.create()
        yield part.folder / path.name
        os.replace(part.folder / path.name, path)
    finally:
        try:
            part.remove()
        except BaseException:  # a signal in the middle of it
            part.remove()
            raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write `path`, complete or not at all; OSError where that fails."""
    with atomic(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `path` in UTF-8, complete or not at all; OSError where that fails."""
    write_bytes(path, text.encode())


def remove_abandoned(folder: Path) -> None:
    """Remove the parts in `folder` whose writers were killed. On POSIX; raises nothing."""
    with suppress(OSError):
        for part in folder.glob(f"{_PREFIX}*"):
            lock = _lock(part, wait=False)
            if lock is not None:
                shutil.rmtree(part, ignore_errors=True)
                os.close(lock)


class _Part:
    """A locked folder whose name is known before it exists.

    A signal may raise an exception between any two steps: what exists is always named here.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._lock: int | None = None
        self._name()

    def create(self) -> None:
        """Create and lock the folder; OSError where its parent cannot be written."""
        while True:
            try:
                self.folder.mkdir(mode=0o700)
            except FileExistsError:
                self._name()
                continue
            self._lock = _lock(self.folder, wait=True)
            if self.folder.is_dir():
                return
            self._unlock()  # another writer removed the folder before it was locked

    def remove(self) -> None:
        """Remove the folder and all in it; may be called again."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._unlock()

    def _name(self) -> None:
        self.folder = self._parent / f"{_PREFIX}{secrets.token_hex(4)}"

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _lock(folder: Path, *, wait: bool) -> int | None:
    """A descriptor that holds the lock of a folder; None where it is held or there are no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
