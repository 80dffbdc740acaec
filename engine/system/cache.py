"""Cache files: written atomically, checked when read, optional.

A file ends with the SHA-256 of its contents, so that a cut or damaged one counts as missing. It is
written under a name of its own and renamed: a reader that has mapped the old file keeps the old
file. No function here raises OSError; a program that cannot keep a file runs without it.
"""

import contextlib
import hashlib
import mmap
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import platformdirs

APPLICATION: Final = "emage-live"
_DIGEST: Final = hashlib.sha256().digest_size
_CHUNK: Final = 1 << 20
_TOLD: Final = set[Path | None]()
"""Folders that this process has reported as not writable."""

Say = Callable[[str], None]


def cache_folder() -> Path | None:
    """The user's cache folder; None if there is none."""
    try:
        folder = platformdirs.user_cache_path(APPLICATION, appauthor=False)
        # Without HOME and without an entry for the user id, "~" stays as it is.
        return None if str(folder).startswith("~") else folder.absolute()
    except (OSError, RuntimeError, KeyError):
        return None


def read(path: Path | None) -> memoryview | None:
    """The contents of `path`, mapped; None if it is missing, cut or damaged.

    The pages are private: changes to them do not reach the file.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2) - _DIGEST
            if size <= 0 or not _whole(file, size):
                return None
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))[:size]
    except (OSError, ValueError):
        return None


def _whole(file: BinaryIO, size: int) -> bool:
    """Whether the digest at the end of an open file is that of the `size` bytes before it.

    Read and not mapped: pages that are read do not count as memory of this process.
    """
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0:
        piece = file.read(min(_CHUNK, size))
        if not piece:
            return False
        digest.update(piece)
        size -= len(piece)
    return file.read(_DIGEST + 1) == digest.digest()


def write(path: Path | None, data: bytes | memoryview, say: Say) -> bool:
    """Write `data` to `path`; False, and one line the first time, where that is not possible."""
    if path is None:
        return False
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=".", suffix=".part", delete=False
        ) as file:
            part = Path(file.name)
            file.write(data)
            file.write(hashlib.sha256(data).digest())
        part.replace(path)
    except OSError as error:
        if part is not None:
            delete(part)
        note_unkept(path.parent, error.strerror or str(error), say)
        return False
    return True


def note_unkept(folder: Path | None, reason: str, say: Say) -> None:
    """Report once per folder that nothing can be kept in it."""
    if folder not in _TOLD:
        _TOLD.add(folder)
        place = "on this machine" if folder is None else f"in {folder}"
        say(f"note: nothing can be kept {place} ({reason}); it is made again at the next start")


def delete(path: Path) -> bool:
    """Delete a file or a folder; whether it is gone."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def listed(folder: Path, start: str) -> list[Path]:
    """Entries of `folder` whose names begin with a prefix, in order."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.startswith(start))
    except OSError:
        return []


@contextlib.contextmanager
def scratch(folder: Path | None) -> Iterator[Path]:
    """Context manager: an empty folder, a temporary one, else one below `folder`.

    Raises OSError if neither can be written.
    """
    with _temporary(folder) as name:
        yield Path(name)


def _temporary(folder: Path | None) -> "tempfile.TemporaryDirectory[str]":
    # A library that is loaded from the folder cannot be deleted on Windows.
    try:
        return tempfile.TemporaryDirectory(prefix=f"{APPLICATION}-", ignore_cleanup_errors=True)
    except OSError:
        if folder is None:
            raise
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(
            dir=folder, prefix=".scratch-", ignore_cleanup_errors=True
        )
