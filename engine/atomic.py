"""Files and folders that appear complete or not at all, whatever ends the writer.

A part is written in a folder of its own beside its place and renamed when it is complete. The
folder of a writer that was killed is removed by the next writer beside it; that of a running
writer is locked and stays. Knows nothing of what is written.
"""

import os
import shutil
import sys
import tempfile
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
    folder, lock = _locked_folder(path.parent)
    try:
        yield folder / path.name
        os.replace(folder / path.name, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


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


def _locked_folder(parent: Path) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _lock(folder, wait=True)
        if folder.is_dir():
            return folder, lock
        if lock is not None:  # another writer removed the folder before it was locked
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
