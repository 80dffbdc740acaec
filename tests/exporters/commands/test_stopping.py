"""Stopping with real signals: one flag, no lock, and the stop function is called."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exporters.commands.stopping import FORCED, StopRequested, check_stopped, stoppable

pytestmark = pytest.mark.posix
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
PATIENCE_S = 60.0


def send(name: str, times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), getattr(signal, name))


@pytest.mark.parametrize("name", NAMES)
def test_before_on_signal_a_signal_ends_the_block(name: str) -> None:
    reached: list[str] = []
    with stoppable() as stopping:
        reached.append("inside")
        send(name, 3)
        reached.append("after the signal")
    assert reached == ["inside"]
    assert stopping.raised


@pytest.mark.parametrize("name", NAMES)
def test_after_on_signal_the_stop_function_is_called_once(name: str) -> None:
    calls: list[str] = []
    told = threading.Event()

    def stop() -> None:
        calls.append("stop")
        told.set()

    with stoppable() as stopping:
        stopping.on_signal(stop)
        send(name, 3)
        assert told.wait(PATIENCE_S)
    assert calls == ["stop"]
    assert not stopping.raised


def test_a_swallowed_exception_does_not_swallow_the_stop() -> None:
    reached: list[str] = []
    with stoppable() as stopping:
        try:
            send("SIGTERM")
        except StopRequested:
            reached.append("swallowed")
        with pytest.raises(StopRequested):
            stopping.check()
        stopping.on_signal(lambda: reached.append("told"))
        reached.append("went on")
    assert reached == ["swallowed"]


def test_the_previous_handlers_are_restored() -> None:
    before = [signal.getsignal(getattr(signal, name)) for name in NAMES]
    with stoppable(), stoppable() as inner:
        inner.check()
    assert [signal.getsignal(getattr(signal, name)) for name in NAMES] == before


FREED = """
import gc, os, signal, threading, weakref
class Session:
    told = threading.Event()
    def stop(self): self.told.set()
def command():
    print("ready", flush=True)
    with stopping.stoppable() as mine:
        session = Session()
        known = weakref.ref(session)
        mine.on_signal(session.stop)
        if %r:
            os.kill(os.getpid(), signal.SIGINT)
            session.told.wait()
            for thread in threading.enumerate():
                if thread.name == "stop": thread.join()
            os.kill(os.getpid(), signal.SIGINT)
        del session
    for _ in range(1000):  # the thread that watches lets go of it in its own time
        gc.collect()
        if known() is None: break
        threading.Event().wait(0.005)
    return 3 if known() is not None else 4
"""


@pytest.mark.parametrize("signalled", [False, True])
def test_the_stop_function_can_be_freed(signalled: bool, root: Path) -> None:
    """Native objects of a session that outlive the interpreter are reported by their libraries."""
    assert ended(program(FREED % signalled, root)) == (4, "")


def test_in_another_thread_nothing_is_taken_over() -> None:
    done: list[bool] = []

    def run() -> None:
        with stoppable() as stopping:
            stopping.on_signal(lambda: None)
            done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_S)
    assert done == [True]


def program(body: str, root: Path, stopped: int = 0, **options: object) -> "subprocess.Popen[str]":
    """A process that runs `command`; it prints `ready` where it may be stopped."""
    code = f"import sys, time\nfrom exporters.commands import stopping\n{body}\n"
    code += f"sys.exit(stopping.run_stoppable(command, {stopped}))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, errors


WAITING = """
def command():
    print("ready", flush=True)
    time.sleep(600)
"""
WRAPPING = """
def command():
    print("ready", flush=True)
    try:
        time.sleep(600)
    except BaseException as error:
        raise ImportError("something was interrupted") from error
"""
# A handler must not print: the signal may arrive within the print of `ready`.
HANGING_ON = """
import os, signal
def command():
    signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"still here\\n"))
    print("ready", flush=True)
    time.sleep(600)
"""
DEAF = """
import threading
def command():
    stopping._Current.stopping.on_signal(lambda: print("told", flush=True))
    stopping._FORCE_AFTER_S = 0.0
    print("ready", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("body", [WAITING, WRAPPING])
def test_a_process_that_is_not_ready_ends_with_the_wanted_status(
    body: str, name: str, root: Path
) -> None:
    for status in (0, 130):
        process = program(body, root, status)
        process.send_signal(getattr(signal, name))
        assert ended(process) == (status, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_process_that_does_not_end_is_ended_by_a_later_signal(name: str, root: Path) -> None:
    process = program(DEAF, root)
    process.send_signal(getattr(signal, name))
    assert process.stdout is not None
    assert process.stdout.readline() == "told\n"
    process.send_signal(getattr(signal, name))
    assert ended(process) == (FORCED + getattr(signal, name), "")


def test_nohup_is_respected(root: Path) -> None:
    process = program(
        HANGING_ON, root, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGUSR1)
    assert process.stdout is not None
    assert process.stdout.readline() == "still here\n"
    process.kill()
    process.communicate()


@pytest.mark.parametrize("status", [0, 2])
def test_the_status_of_a_command_that_ends_by_itself(status: int, root: Path) -> None:
    body = f"def command():\n    print('ready', flush=True)\n    return {status}"
    assert ended(program(body, root)) == (status, "")


def test_a_signal_whose_exception_was_swallowed_is_found_again() -> None:
    def command() -> int:
        with contextlib.suppress(StopRequested):  # as a library that calls back into Python
            signal.raise_signal(signal.SIGTERM)
        check_stopped()
        raise AssertionError("the signal was lost")

    before = [signal.getsignal(getattr(signal, name)) for name in ("SIGINT", "SIGTERM")]
    with stoppable():
        command()
    assert [signal.getsignal(getattr(signal, n)) for n in ("SIGINT", "SIGTERM")] == before
    check_stopped()  # no effect outside
