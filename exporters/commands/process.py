"""Before other programs where the system allows it: a frame that waits for a core is late.

Systems let an administrator, or a user with the right to (`RLIMIT_NICE` on Linux), ask for that.
Whoever may not goes on as any other program.
"""

import os
from pathlib import Path
from typing import Final

NICENESS: Final = -10
_THREADS: Final = Path("/proc/self/task")  # Linux keeps a niceness for each thread


def raise_priority() -> bool:
    """Let this process's threads, and those that they start, have a core before others; whether
    the system allows it.
    """
    if not hasattr(os, "setpriority"):  # Windows
        return False
    threads = [int(path.name) for path in _THREADS.iterdir()] if _THREADS.is_dir() else [0]
    for thread in threads:
        try:
            os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
        except ProcessLookupError:  # it has just ended
            continue
        except PermissionError:
            return False
    return True
