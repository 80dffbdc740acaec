"""Returns unused memory to the system. On Linux; elsewhere nothing is done."""

import ctypes
import mmap
import sys
from pathlib import Path
from typing import Any, Final

from torch import Tensor

_MAPS: Final = Path("/proc/self/maps")
_PAGE_OUT: Final = 21  # MADV_PAGEOUT of Linux 5.4; an older one refuses it, and nothing happens


def _library() -> Any | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def trim_heap() -> None:
    """Return the memory that conversion, comparison and loading have freed to the system.

    The C library of Linux would keep it for later allocations, which a running stream hardly makes.
    """
    trim = getattr(_library(), "malloc_trim", None)  # glibc's; musl has none
    if trim is not None:
        trim(0)


class PageOut:
    """Drops weights in a mapped file from memory until they are needed again.

    The weights of a published checkpoint are mapped; reading them once, for their hash, would keep
    all of them in memory beside the graphs compiled from them.
    """

    def __init__(self) -> None:
        self._advise = getattr(_library(), "madvise", None)
        self._files = [] if self._advise is None else _mapped_files()

    def __call__(self, tensor: Tensor) -> None:
        """Drop the pages of a tensor, if it has its own in a file."""
        first, last = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
        start, stop = -(-first // mmap.PAGESIZE), last // mmap.PAGESIZE
        mapped = any(begin <= first and last <= end for begin, end in self._files)
        if self._advise is not None and mapped and start < stop:
            size = (stop - start) * mmap.PAGESIZE
            where = ctypes.c_void_p(start * mmap.PAGESIZE)
            self._advise(where, ctypes.c_size_t(size), _PAGE_OUT)


def _mapped_files() -> list[tuple[int, int]]:
    """First and end address of each mapped file of this process."""
    found = []
    for line in _MAPS.read_text("utf-8", "replace").splitlines() if _MAPS.is_file() else ():
        where, _, _, _, inode, *path = line.split(maxsplit=5)
        if inode != "0" and path:
            begin, end = where.split("-")
            found.append((int(begin, 16), int(end, 16)))
    return found
