"""Console output and exit status: output never raises, errors are one line.

The only writer to standard output and standard error of the command lines. Text that a terminal
cannot show is escaped; a closed or full output ends no work.
"""

import gc
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from typing import Any, Final, TextIO

from engine.errors import GestureError

EXIT_ERROR: Final = 2
EXIT_INTERRUPTED: Final = 130  # as shells report a program ended by Ctrl-C
_MOST_SHOWN: Final = 400  # characters of a foreign error


class Output:
    """A text stream whose writes raise nothing.

    stream: None if the program was started with that output closed. problem: the error after which
    output is dropped.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.problem: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write; flushes at the end of a line."""
        if self._stream is not None and self.problem is None:
            try:
                self._put(self._stream, text)
            except (OSError, ValueError) as error:  # ValueError: the stream was closed
                self._give_up(self._stream, error)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        self.write("\n"[:0])

    def _put(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        if not text or text.endswith("\n"):
            stream.flush()

    def _give_up(self, stream: TextIO, error: Exception) -> None:
        self.problem = error
        # The interpreter writes the remaining buffer at exit and would fail again.
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def say(text: str) -> None:
    """Print a status line at once; raises nothing."""
    out = sys.stdout
    (out if isinstance(out, Output) else Output(out)).write(f"{text}\n")


def complain(text: str) -> None:
    """Print a line on standard error; raises nothing."""
    Output(sys.stderr).write(f"{text}\n")


def run_cli(run: Callable[..., int], *arguments: object, debug: bool = False) -> int:
    """Run; an exception becomes one line on standard error and an exit status other than 0.

    debug: with its traceback. Output that could not be written is an error too, except for a closed
    pipe.
    """
    output = Output(sys.stdout)
    try:
        with redirect_stdout(output):
            status = _status(run, arguments, debug)
            output.flush()
    finally:
        # A session that was prepared but not started leaves its objects frozen; libraries report
        # objects that are not freed at exit.
        gc.unfreeze()
    if isinstance(output.problem, OSError) and not isinstance(output.problem, BrokenPipeError):
        complain(f"error: standard output cannot be written ({output.problem}); it is incomplete")
        status = status or EXIT_ERROR
    return status


def _status(run: Callable[..., int], arguments: tuple[object, ...], debug: bool) -> int:
    try:
        return run(*arguments)
    except KeyboardInterrupt:
        complain("error: interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:
        if debug:
            complain(traceback.format_exc())
        complain(f"error: {error_line(error)}")
        return EXIT_ERROR


def error_line(error: Exception) -> str:
    """One line about an exception: what happened and what to do."""
    if isinstance(error, GestureError):
        return str(error).replace(":\n", ": ").replace("\n", ", ")
    text = " ".join(str(error).split())[:_MOST_SHOWN]
    if isinstance(error, OSError):
        return f"the system refused a file, an address or a device: {text}; check what was given"
    if isinstance(error, UnicodeError):
        return f"text cannot be converted ({text}); check the names and files that were given"
    kind = type(error).__name__
    return f"unexpected {kind}: {text}; run again with --debug and report what it shows"
