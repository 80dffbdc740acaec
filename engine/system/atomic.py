"""Atomic files and folders: complete or absent, however the writer ends.

A part is written in a folder of its own beside the target and renamed when it is complete. The next
writer removes the folder of a killed writer; the folder of a running writer is locked and stays.
"""

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = ".part-"  # short: a name may have 255 bytes, and the part has the target's name


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A path to write a file or a new folder, which replaces `path` when the block ends.

    An exception in the block leaves `path` as it was and removes the part. OSError if the folder of
    `path` cannot be written, or if `path` is a folder that is not empty.
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
        except BaseException:  # a signal between two steps
            part.remove()
            raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write `path` atomically; OSError if that fails."""
    with atomic(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `path` in UTF-8 atomically; OSError if that fails."""
    write_bytes(path, text.encode())


def remove_abandoned(folder: Path) -> None:
    """Remove the parts in `folder` of killed writers. On POSIX; raises nothing."""
    with suppress(OSError):
        for part in folder.glob(f"{_PREFIX}*"):
            lock = _lock(part, wait=False)
            if lock is not None:
                shutil.rmtree(part, ignore_errors=True)
                os.close(lock)


class _Part:
    """A locked folder whose name is known before it exists.

    A signal may raise an exception between any two steps: an existing folder is always recorded
    here.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._lock: int | None = None
        self._name()

    def create(self) -> None:
        """Create and lock the folder; OSError if its parent cannot be written."""
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
        """Remove the folder and its contents; may be called again."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._unlock()

    def _name(self) -> None:
        self.folder = self._parent / f"{_PREFIX}{secrets.token_hex(4)}"

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _lock(folder: Path, *, wait: bool) -> int | None:
    """A descriptor that holds the lock of a folder; None if it is locked or there are no locks."""
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
