"""A live session raises its priority, and continues if that is not permitted."""

import os
import subprocess
import sys

import pytest

from exporters.commands import process

SHOW = """
import os, threading
from exporters.commands.process import raise_priority
allowed, found, wait = None, [], threading.Barrier(2)
def other():
    wait.wait(); wait.wait()
    found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
running = threading.Thread(target=other)
running.start(); wait.wait(); allowed = raise_priority(); wait.wait(); running.join()
later = threading.Thread(
    target=lambda: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
)
later.start(); later.join()
print(allowed, *found)
"""


@pytest.mark.linux
def test_all_threads_get_the_priority_if_permitted() -> None:
    """In a process of its own: a priority cannot always be lowered again."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW], capture_output=True, text=True, check=True, timeout=60
    )
    allowed, *found = done.stdout.split()
    now = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = process.NICENESS if allowed == "True" else now
    assert list(map(int, found)) == [wanted, wanted]


@pytest.mark.parametrize(
    ("refusal", "allowed"), [(PermissionError, False), (ProcessLookupError, True)]
)
def test_without_permission_the_priority_stays(
    refusal: type[OSError], allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise refusal("no")

    monkeypatch.setattr(os, "setpriority", refuse, raising=False)
    assert process.raise_priority() is allowed


def test_a_system_without_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "setpriority", raising=False)
    assert not process.raise_priority()
