"""Raises the process priority if permitted: a frame that waits for a core is late.

Administrators, and users with the right to (`RLIMIT_NICE` on Linux), may do so. Otherwise the
priority stays as it is.
"""

import os
from pathlib import Path
from typing import Final

NICENESS: Final = -10
_THREADS: Final = Path("/proc/self/task")  # Linux keeps a niceness for each thread


def raise_priority() -> bool:
    """Raise the priority of this process's threads and of later ones; whether it was permitted."""
    if not hasattr(os, "setpriority"):  # Windows
        return False
    threads = [int(path.name) for path in _THREADS.iterdir()] if _THREADS.is_dir() else [0]
    for thread in threads:
        try:
            os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
        except ProcessLookupError:  # the thread has just ended
            continue
        except PermissionError:
            return False
    return True
